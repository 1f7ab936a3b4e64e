#include "text/sampler.h"

#include "base/finite.h"

#include <llama.h>

#include <cmath>
#include <random>

namespace chunkkv::text {
namespace {

/// Tokens that must not be sampled: those that the model's file suppresses, and with `ignore_eos` those that
/// end an answer.
std::vector<llama_logit_bias> forbidden_tokens(const Model& model, bool ignore_eos) {
  const llama_vocab* vocab = llama_model_get_vocab(model.handle());
  std::vector<llama_logit_bias> forbidden;
  std::int32_t n_suppressed = 0;
  const llama_token* suppressed = llama_vocab_get_suppress_tokens(vocab, &n_suppressed);
  for (std::int32_t i = 0; i < n_suppressed; ++i) forbidden.push_back({suppressed[i], -INFINITY});
  for (Token token = 0; ignore_eos && token < model.info().n_vocab; ++token) {
    if (model.is_end(token)) forbidden.push_back({token, -INFINITY});
  }
  return forbidden;
}

}  // namespace

void Sampler::Free::operator()(llama_sampler* sampler) const {
  llama_sampler_free(sampler);
}

Sampler::Sampler(const Model& model, const Sampling& sampling)
    : chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())) {
  const std::int32_t n_vocab = model.info().n_vocab;
  candidates_.resize(std::size_t(n_vocab));

  const auto add = [&](llama_sampler* sampler) { llama_sampler_chain_add(chain_.get(), sampler); };
  const auto forbidden = forbidden_tokens(model, sampling.ignore_eos);
  if (!forbidden.empty()) {
    add(llama_sampler_init_logit_bias(n_vocab, std::int32_t(forbidden.size()), forbidden.data()));
  }
  if (sampling.temperature <= 0) {
    add(llama_sampler_init_greedy());
    return;
  }
  const auto seed = sampling.seed < 0 ? std::random_device{}() : std::uint32_t(sampling.seed);
  add(llama_sampler_init_top_k(sampling.top_k));
  add(llama_sampler_init_top_p(sampling.top_p, 1));
  add(llama_sampler_init_min_p(sampling.min_p, 1));
  add(llama_sampler_init_temp(sampling.temperature));
  add(llama_sampler_init_dist(seed));
}

Sampler::Sampler(const Sampler& other)
    : chain_(llama_sampler_clone(other.chain_.get())), candidates_(other.candidates_.size()) {}

Sampler::~Sampler() = default;

Token Sampler::sample(std::span<const float> logits) {
  require_finite(logits);
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i] = {Token(i), logits[i], 0.0F};
  }
  llama_token_data_array array = {candidates_.data(), candidates_.size(), -1, false};
  llama_sampler_apply(chain_.get(), &array);
  const Token token = array.data[array.selected].id;
  llama_sampler_accept(chain_.get(), token);
  return token;
}

}  // namespace chunkkv::text
