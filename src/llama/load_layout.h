#pragma once

#include "llama/handles.h"

#include <string>
#include <vector>

namespace chunkkv::engine {

/// The layouts of a model's weights that generate fastest, as parameters of its loading. They point here.
class LoadLayout {
 public:
  /// Reads the names and types in a GGUF file. A broken file has none: loading it will say so.
  explicit LoadLayout(const std::string& path);
  void apply(llama_model_params& params) const;

 private:
  std::vector<std::string> plain_;  // patterns of tensors to be kept from a layout of the engine's
  std::vector<llama_model_tensor_buft_override> overrides_;
  bool extra_ = true;  // whether any weights gain by one
};

}  // namespace chunkkv::engine
