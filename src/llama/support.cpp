#include "llama/support.h"

#include "llama/handles.h"

#include <array>
#include <cstdlib>

namespace chunkkv::engine {

std::string metadata(const llama_model* model, const std::string& key) {
  std::array<char, 256> text{};
  const std::int32_t length = llama_model_meta_val_str(model, key.c_str(), text.data(), text.size());
  return length < 0 ? std::string() : std::string(text.data());
}

namespace {

// Under ALiBi attention depends on distances between cells' positions, and kept rows change their cells. Some
// architectures use it without saying so in their metadata.
bool has_alibi(const llama_model* model, const std::string& architecture) {
  return architecture == "bloom" || architecture == "refact" ||
         (architecture == "baichuan" && llama_model_n_layer(model) == 40) ||
         std::atof(metadata(model, architecture + ".attention.max_alibi_bias").c_str()) > 0;
}

}  // namespace

std::string why_unsupported(const llama_model* model) {
  const std::string architecture = metadata(model, "general.architecture");
  auto has = [&](const char* key) { return !metadata(model, architecture + key).empty(); };

  std::string reason;
  if (llama_model_is_recurrent(model))
    reason = "is recurrent: it has a state instead of a cache of keys and values";
  else if (llama_model_is_diffusion(model))
    reason = "is a diffusion model: it does not generate from a cache";
  else if (llama_model_has_encoder(model) || metadata(model, architecture + ".attention.causal") == "false")
    reason = "is an encoder or has one: only decoder-only models generate from the cache";
  else if (has(".attention.indexer.top_k"))
    reason = "keeps a second cache for its sparse-attention indexer, which would no longer fit";
  else if (has_alibi(model, architecture))
    reason = "uses ALiBi, which takes distances from the cells that compression moves";
  if (reason.empty()) return {};
  return "the cache of this model cannot be compressed: its architecture (" + architecture + ") " + reason;
}

std::size_t cell_extension(const llama_model* model) {
  const llama_rope_type rope = llama_model_rope_type(model);
  const bool has_several_positions = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
  return has_several_positions ? 2 * sizeof(llama_pos) + sizeof(llama_token) : 0;
}

}  // namespace chunkkv::engine
