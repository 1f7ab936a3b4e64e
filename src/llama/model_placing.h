#pragma once

#include <chunkkv/session.h>

#include "llama/handles.h"

#include <vector>

namespace chunkkv::engine {

/// Sets where a model's tensors are to lie, by parameters of its loading. The parameters point into this
/// object and into the options.
class ModelPlacing {
 public:
  /// UsageError for devices or memory that do not exist, and for a tensor split out of range.
  explicit ModelPlacing(const ModelOptions& options);
  void apply(llama_model_params& params);
  bool has_overrides() const { return !overrides_.empty(); }

 private:
  std::vector<ggml_backend_dev_t> devices_;
  std::vector<float> split_;
  std::int32_t main_device_ = 0;
  llama_split_mode mode_ = LLAMA_SPLIT_MODE_LAYER;
  std::vector<llama_model_tensor_buft_override> overrides_;
};

}  // namespace chunkkv::engine
