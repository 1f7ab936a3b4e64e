#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"
#include "selection/share.h"

namespace chunkkv {
namespace {

class H2O final : public Method {
 public:
  explicit H2O(const Parameters& p)
      : recent_(p.real("recent")), vnorm_(p.flag("vnorm")), stride_(p.integer("stride")) {}

  ObservationRequest request() const override {
    return {.queries = Queries::all, .stride = stride_, .value_norms = vnorm_};
  }

  Scores score(const LayerObservation& observation) const override {
    Scores scores = attention_of_kv_heads(observation, Group::mean);
    if (vnorm_) weigh_by_value_norms(scores, observation);
    return scores;
  }

  SelectionRule rule(const Target& target) const override {
    return {.last = floor_share(target.budget, recent_)};
  }

 private:
  double recent_;
  bool vnorm_;
  std::int32_t stride_;
};

}  // namespace

MethodInfo h2o_method() {
  return {
      "h2o",
      "keeps the tokens that all queries together attend to most (heavy hitters), and the most recent ones",
      "H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language Models, arXiv "
      "2306.14048",
      {real_parameter("recent", 0.5, 0, 1, "share of the budget that goes to the most recent tokens"),
       vnorm_parameter(), stride_parameter(1)},
      [](const Parameters& p) { return std::make_shared<H2O>(p); }};
}

}  // namespace chunkkv
