#pragma once

#include "llama/handles.h"

#include <string>
#include <vector>

namespace chunkkv::engine {

/// Chooses the layouts of a model's weights in which it generates fastest, by parameters of its loading. The
/// parameters point into this object.
class LoadLayout {
 public:
  /// Reads names and types of tensors from a GGUF file. Of a broken file it chooses nothing: loading it will
  /// report what is wrong.
  explicit LoadLayout(const std::string& path);
  void apply(llama_model_params& params) const;

 private:
  std::vector<std::string> plain_;  // patterns of tensors that must not get a layout of the engine's
  std::vector<llama_model_tensor_buft_override> overrides_;
  bool use_engine_layouts_ = true;  // whether any weights gain by such a layout
};

}  // namespace chunkkv::engine
