#pragma once

#include <chunkkv/model.h>

#include "kernels/attention.h"

#include <string_view>

namespace chunkkv::test {

/// Whether our own attention rounds to BF16 here: logits differ by about 1 % then where cells or strips do.
inline bool rounds_to_bf16() {
  const auto& kernels = kernels::attention_kernels();
  return !kernels.empty() && std::string_view(kernels.front().name) == "AMX-BF16";
}

/// For tests of what lies in which cells: the engine's attention where ours would round so much that tiny
/// models choose other experts.
inline ModelOptions exact_attention() {
  ModelOptions options;
  options.fast_prefill = !rounds_to_bf16();
  return options;
}

}  // namespace chunkkv::test
