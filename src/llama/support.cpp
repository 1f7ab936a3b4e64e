#include "llama/support.h"

#include "llama/handles.h"

#include <array>

namespace chunkkv::engine {
namespace {

std::string metadata(const llama_model* model, const std::string& key) {
  std::array<char, 256> text{};
  return llama_model_meta_val_str(model, key.c_str(), text.data(), text.size()) < 0
             ? std::string()
             : std::string(text.data());
}

}  // namespace

std::string why_unsupported(const llama_model* model) {
  const std::string architecture = metadata(model, "general.architecture");
  const std::string who = "the model's architecture (" + architecture + ") ";
  if (llama_model_is_recurrent(model))
    return who + "is recurrent: it has no cache of keys and values to compress";
  if (llama_model_is_hybrid(model))
    return who + "mixes attention with recurrent layers, whose state cannot drop tokens";
  if (llama_model_is_diffusion(model)) return who + "is a diffusion model: it does not generate from a cache";
  if (llama_model_has_encoder(model) || !llama_model_has_decoder(model))
    return who + "has an encoder; only decoder-only models are supported";
  if (llama_model_n_swa(model) > 0)
    return who + "uses sliding-window attention, whose layers keep separate caches";
  if (!metadata(model, architecture + ".attention.kv_lora_rank").empty())
    return who + "uses multi-head latent attention (MLA): its cache has no separate values";
  return {};
}

}  // namespace chunkkv::engine
