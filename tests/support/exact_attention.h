#pragma once

#include <chunkkv/model.h>

#include "kernels/attention.h"

#include <string_view>

namespace chunkkv::test {

/// Whether our own attention rounds to BF16 on this processor. Logits then differ by about 1 % between runs
/// that differ in cells or strips.
inline bool rounds_to_bf16() {
  const auto& kernels = kernels::attention_kernels();
  return !kernels.empty() && std::string_view(kernels.front().name).ends_with("BF16");
}

/// Options for tests about cells: they take the engine's attention where ours would round so coarsely that
/// tiny models choose other experts.
inline ModelOptions exact_attention() {
  ModelOptions options;
  options.fast_prefill = !rounds_to_bf16();
  return options;
}

}  // namespace chunkkv::test
