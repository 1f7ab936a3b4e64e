#pragma once

#include <ggml.h>
#include <llama.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::test {

/// A context of the engine alone, with a mask of the test's in some layers: what a cache without some cells
/// gives, by another way. It shares no code with the library, and tells layers apart by their numbers.
class MaskedContext {
 public:
  MaskedContext(const std::string& file, const llama_context_params& params);

  void read(std::span<const std::int32_t> tokens);
  /// Entries that a layer's queries do not see from now on, by the model's number of the layer.
  void hide(std::map<std::int32_t, std::vector<std::int32_t>> entries) { hidden_ = std::move(entries); }
  std::vector<float> decode(std::int32_t token);

 private:
  static bool callback(ggml_tensor* node, bool ask, void* self);
  void on_attention(const ggml_tensor* node);

  std::unique_ptr<llama_model, void (*)(llama_model*)> model_;
  std::unique_ptr<llama_context, void (*)(llama_context*)> context_;
  std::int32_t n_read_ = 0;
  std::map<std::int32_t, std::vector<std::int32_t>> hidden_;
  std::map<const ggml_tensor*, std::vector<ggml_fp16_t>> masks_;  // as the engine made them, in this decode
};

}  // namespace chunkkv::test
