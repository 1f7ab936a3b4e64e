#include "methods/list.h"
#include "methods/scoring.h"

namespace chunkkv {
namespace {

class KeyDiff final : public Method {
 public:
  ObservationRequest request() const override { return {.key_similarity = true}; }

  Scores score(const LayerObservation& observation) const override {
    return scaled(observation.key_similarity, observation, "key similarities", -1.0f);
  }

  SelectionRule rule(const Target&) const override { return {}; }
};

}  // namespace

MethodInfo keydiff_method() {
  return {"keydiff",
          "keeps the tokens whose keys differ most from the average key, per KV head; reads no attention",
          "KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in "
          "Resource-Constrained "
          "Environments, arXiv 2504.15364",
          {},
          [](const Parameters&) { return std::make_shared<KeyDiff>(); }};
}

}  // namespace chunkkv
