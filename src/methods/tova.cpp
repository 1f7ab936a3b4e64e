#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

namespace chunkkv {
namespace {

class Tova final : public Method {
 public:
  explicit Tova(const Parameters& p) : vnorm_(p.flag("vnorm")), lift_(p), after_(p.integer("after")) {}

  ObservationRequest request() const override {
    return {.queries = Queries::window, .window = 1, .after = after_, .value_norms = vnorm_};
  }

  Scores score(const LayerObservation& observation) const override {
    Scores per_head = attention_of_kv_heads(observation, Group::mean);
    if (vnorm_) weigh_by_value_norms(per_head, observation);
    add_lifted(per_head, 1, lift_);
    Scores scores = sum_of_heads(per_head);
    scale(scores, 1.0f / float(per_head.n_heads));
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {.last = 1}; }

 private:
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace

MethodInfo tova_method() {
  return {"tova",
          "keeps the tokens that the last token attends to, the same in all heads of a layer",
          "Transformers are Multi-State RNNs, arXiv 2401.06104",
          {vnorm_parameter(), spread_parameter(), reach_parameter(), after_parameter()},
          [](const Parameters& p) { return std::make_shared<Tova>(p); }};
}

}  // namespace chunkkv
