#include "masked_context.h"

#include <ggml-backend.h>

#include <cstdio>
#include <limits>
#include <stdexcept>

namespace chunkkv::test {

MaskedContext::MaskedContext(const std::string& file, const llama_context_params& given)
    : model_(llama_model_load_from_file(file.c_str(),
                                        [] {
                                          llama_model_params params = llama_model_default_params();
                                          params.n_gpu_layers = 0;
                                          return params;
                                        }()),
             llama_model_free),
      context_(nullptr, llama_free) {
  if (!model_) throw std::runtime_error("could not load " + file);
  llama_context_params params = given;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.swa_full = false;
  params.cb_eval = callback;
  params.cb_eval_user_data = this;
  context_.reset(llama_init_from_model(model_.get(), params));
  if (!context_) throw std::runtime_error("could not make a context of " + file);
}

bool MaskedContext::callback(ggml_tensor* node, bool ask, void* self) {
  if (!ask || node->op != GGML_OP_FLASH_ATTN_EXT) return !ask;
  static_cast<MaskedContext*>(self)->on_attention(node);
  return true;  // so that it is computed before the mask changes
}

void MaskedContext::on_attention(const ggml_tensor* node) {
  const ggml_tensor* k = node->src[1];
  while (k->view_src != nullptr) k = k->view_src;
  if (std::int32_t layer = -1; std::sscanf(k->name, "cache_k_l%d", &layer) == 1) {
    const ggml_tensor* mask = node->src[3];
    auto [original, is_new] = masks_.try_emplace(mask);
    if (is_new) {
      original->second.resize(std::size_t(ggml_nelements(mask)));
      ggml_backend_tensor_get(mask, original->second.data(), 0, ggml_nbytes(mask));
    }
    std::vector<ggml_fp16_t> values = original->second;
    if (const auto hidden = hidden_.find(layer); hidden != hidden_.end())
      for (const std::int32_t entry : hidden->second)  // entry i lies in cell i here
        for (std::size_t row = 0; row < values.size(); row += std::size_t(mask->ne[0]))
          values[row + std::size_t(entry)] = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
    ggml_backend_tensor_set(const_cast<ggml_tensor*>(mask), values.data(), 0, ggml_nbytes(mask));
  }
}

void MaskedContext::read(std::span<const std::int32_t> tokens) {
  const auto step = std::size_t(llama_n_ubatch(context_.get()));
  for (std::size_t done = 0; done < tokens.size(); done += step) {
    std::vector<std::int32_t> now(tokens.begin() + std::ptrdiff_t(done),
                                  tokens.begin() + std::ptrdiff_t(std::min(tokens.size(), done + step)));
    masks_.clear();
    if (llama_decode(context_.get(), llama_batch_get_one(now.data(), std::int32_t(now.size()))) != 0)
      throw std::runtime_error("the engine could not read");
  }
}

std::vector<float> MaskedContext::decode(std::int32_t token) {
  read({&token, 1});
  const float* logits = llama_get_logits_ith(context_.get(), -1);
  return {logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(model_.get()))};
}

}  // namespace chunkkv::test
