#include "serve/edges/token_sampler.h"

#include "base/finite.h"
#include "serve/edges/request_rules.h"

#include <sampling.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>

namespace chunkkv::serve {
namespace {

/// Longest time for one token under a grammar, in seconds; the next one may well take several times as long.
constexpr double kLongestChoice = 3;

/// CPU time of this thread in seconds, so that a busy machine is not taken for a slow grammar.
double seconds_computed() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

struct Free {
  void operator()(common_sampler* sampler) const { common_sampler_free(sampler); }
};

std::string piece(const Model& model, Token token) {
  return common_token_to_piece(llama_model_get_vocab(model.handle()), token, true);
}

/// UsageError for a grammar that the engine refuses: `common_sampler_init` would refuse it, too, but leak the
/// memory that it had allocated by then.
void require_grammar(const Model& model, const std::string& grammar) {
  if (grammar.empty()) return;
  llama_sampler* sampler = nullptr;
  if (!grammar.starts_with("%llguidance"))
    sampler = llama_sampler_init_grammar(llama_model_get_vocab(model.handle()), grammar.c_str(), "root");
  if (sampler == nullptr) throw UsageError("the grammar or JSON schema cannot be used");
  llama_sampler_free(sampler);
}

}  // namespace

TokenOutput probabilities(const Model& model, std::span<const float> logits, Token token, std::int32_t n) {
  TokenOutput output{.token = token, .text = piece(model, token)};
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double(logit - highest));
  const auto probability = [&](Token t) {
    return float(std::exp(double(logits[std::size_t(t)] - highest)) / sum);
  };
  output.probability = probability(token);
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::ptrdiff_t(std::min<std::size_t>(std::size_t(std::max(n, 0)), order.size()));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](Token a, Token b) {
    return logits[std::size_t(a)] != logits[std::size_t(b)] ? logits[std::size_t(a)] > logits[std::size_t(b)]
                                                            : a < b;
  });
  for (std::ptrdiff_t i = 0; i < count; ++i)
    output.most_likely.push_back(
        {order[std::size_t(i)], piece(model, order[std::size_t(i)]), probability(order[std::size_t(i)])});
  return output;
}

struct TokenSampler::Impl {
  const Model& model;
  common_params_sampling params;
  bool after_sampling = false;
  bool has_grammar = false;
  std::unique_ptr<common_sampler, Free> sampler = nullptr;
};

TokenSampler::TokenSampler(const Model& model, const RequestRules& rules, std::int32_t answer)
    : impl_(new Impl{.model = model, .params = rules.params.sampling}) {
  impl_->after_sampling = rules.params.post_sampling_probs;
  impl_->has_grammar = !common_grammar_value(impl_->params.grammar).empty();
  if (impl_->params.seed != LLAMA_DEFAULT_SEED) impl_->params.seed += std::uint32_t(answer);
  try {
    require_grammar(model, common_grammar_value(impl_->params.grammar));
    impl_->sampler.reset(common_sampler_init(model.handle(), impl_->params));
  } catch (const std::exception& error) {
    throw UsageError(error.what());
  }
  if (!impl_->sampler) throw UsageError("the grammar or JSON schema cannot be used");
}

TokenSampler::~TokenSampler() = default;

void TokenSampler::accept_prompt(std::span<const Token> tokens) {
  for (const Token token : tokens) common_sampler_accept(impl_->sampler.get(), token, false);
}

TokenOutput TokenSampler::sample(Session& session, std::int32_t index) {
  common_sampler* sampler = impl_->sampler.get();
  const std::int32_t n = impl_->params.n_probs;
  const std::span<const float> logits(llama_get_logits_ith(session.handle(), index),
                                      std::size_t(impl_->model.info().n_vocab));
  require_finite(logits);
  const double start = seconds_computed();
  const Token token = common_sampler_sample(sampler, session.handle(), index);
  TokenOutput output{.token = token, .text = piece(impl_->model, token)};
  if (n > 0 && impl_->after_sampling) {
    const llama_token_data_array* candidates = common_sampler_get_candidates(sampler, true);
    for (std::size_t i = 0; i < candidates->size; ++i) {
      const llama_token_data& candidate = candidates->data[i];
      if (candidate.id == token) output.probability = candidate.p;
      if (output.most_likely.size() < std::size_t(n) && candidate.p > 0)
        output.most_likely.push_back({candidate.id, piece(impl_->model, candidate.id), candidate.p});
    }
  } else if (n > 0) {
    output = probabilities(impl_->model, logits, token, n);
  }
  common_sampler_accept(sampler, token, true);
  // All other answers wait while a token is chosen.
  if (impl_->has_grammar && seconds_computed() - start > kLongestChoice)
    throw UsageError("the grammar leaves so many ways open that a token takes seconds");
  return output;
}

// llama.cpp's sampler takes logits from the context only: these are written over those of the last token.
TokenOutput TokenSampler::sample(Session& session, std::span<const float> logits) {
  float* const place = llama_get_logits_ith(session.handle(), -1);
  if (place == nullptr) throw Error("nothing was read yet");
  if (place != logits.data()) std::copy(logits.begin(), logits.end(), place);
  return sample(session, -1);
}

}  // namespace chunkkv::serve
