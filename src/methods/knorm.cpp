#include "methods/list.h"
#include "methods/scoring.h"

namespace chunkkv {
namespace {

class Knorm final : public Method {
 public:
  ObservationRequest request() const override { return {.key_norms = true}; }

  Scores score(const LayerObservation& observation) const override {
    return scaled(observation.key_norms, observation, "key norms", -1.0f);
  }

  SelectionRule rule(const Target&) const override { return {}; }
};

}  // namespace

MethodInfo knorm_method() {
  return {"knorm",
          "keeps the tokens whose keys are shortest, per KV head; reads no attention",
          "A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression, arXiv 2406.11430",
          {},
          [](const Parameters&) { return std::make_shared<Knorm>(); }};
}

}  // namespace chunkkv
