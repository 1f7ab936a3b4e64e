#pragma once

#include <chunkkv/session.h>

#include "llama/handles.h"

#include <set>
#include <string>
#include <vector>

namespace chunkkv::engine {

/// Counts the matrices of weights that the operations of a decode multiply with, by type, layout and the
/// kernel that multiplies them with the tokens of a prompt. Each matrix counts once.
class WeightSurvey {
 public:
  /// `ours`: whether products are computed with our kernels where they are faster.
  void add(const ggml_tensor* product, bool ours);
  const std::vector<WeightUse>& uses() const { return uses_; }

 private:
  std::set<const ggml_tensor*> seen_;
  std::vector<WeightUse> uses_;
};

}  // namespace chunkkv::engine
