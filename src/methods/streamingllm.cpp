#include "methods/list.h"
#include "methods/parameters.h"

#include <numeric>

namespace chunkkv {
namespace {

/// The score grows with the entry's number: the most recent entries fill the budget beside the sinks.
class StreamingLLM final : public Method {
 public:
  explicit StreamingLLM(const Parameters& p) : sinks_(p.integer("sinks")) {}

  Scores score(const LayerObservation& observation) const override {
    Scores scores{1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
    std::iota(scores.values.begin(), scores.values.end(), 0.0f);
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {.first = sinks_}; }

 private:
  std::int32_t sinks_;
};

}  // namespace

MethodInfo streamingllm_method() {
  return {"streamingllm",
          "keeps the first tokens (attention sinks) and the most recent ones",
          "Efficient Streaming Language Models with Attention Sinks, arXiv 2309.17453",
          {sinks_parameter()},
          [](const Parameters& p) { return std::make_shared<StreamingLLM>(p); }};
}

}  // namespace chunkkv
