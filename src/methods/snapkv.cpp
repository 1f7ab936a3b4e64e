#include "methods/list.h"
#include "methods/window_attention.h"

namespace chunkkv {
namespace {

class SnapKV final : public Method {
 public:
  explicit SnapKV(const Parameters& p) : attention_(p) {}

  ObservationRequest request() const override { return attention_.request(); }
  Scores score(const LayerObservation& observation) const override { return attention_.score(observation); }
  SelectionRule rule(const Target&) const override { return {.last = attention_.window()}; }

 private:
  WindowAttention attention_;
};

}  // namespace

MethodInfo snapkv_method() {
  return {"snapkv", "keeps the tokens that the last queries attend to, pooled over neighbours, per KV head",
          "SnapKV: LLM Knows What You are Looking for Before Generation, arXiv 2404.14469",
          WindowAttention::parameters(), [](const Parameters& p) { return std::make_shared<SnapKV>(p); }};
}

}  // namespace chunkkv
