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

/// A context of the engine alone that masks cells in some layers: another way to compute what a cache without
/// these cells gives. It shares no code with the library, and tells layers apart by their numbers.
class MaskedContext {
 public:
  MaskedContext(const std::string& file, const llama_context_params& params);

  void read(std::span<const std::int32_t> tokens);
  /// Sets the entries that queries do not see from now on, by the model's numbers of the layers.
  void hide(std::map<std::int32_t, std::vector<std::int32_t>> entries) { hidden_ = std::move(entries); }
  std::vector<float> decode(std::int32_t token);

 private:
  static bool callback(ggml_tensor* node, bool ask, void* self);
  void on_attention(const ggml_tensor* node);

  std::unique_ptr<llama_model, void (*)(llama_model*)> model_;
  std::unique_ptr<llama_context, void (*)(llama_context*)> context_;
  std::map<std::int32_t, std::vector<std::int32_t>> hidden_;
  std::map<const ggml_tensor*, std::vector<ggml_fp16_t>> masks_;  // the engine's own, in this decode
};

}  // namespace chunkkv::test
