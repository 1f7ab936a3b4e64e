#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

#include <algorithm>

namespace chunkkv {
namespace {

/// Three kinds of score, each with a total of 1: what the last queries pay to a token times the size of its
/// value; the same lifted over the tokens that follow; and how unlike the others a key is.
class Hybrid final : public Method {
 public:
  explicit Hybrid(const Parameters& p)
      : window_(p.integer("window")),
        recent_(std::max(p.integer("recent"), window_)),
        diversity_(float(p.real("diversity"))),
        vnorm_(p.flag("vnorm")),
        lift_(p),
        after_(p.integer("after")) {}

  ObservationRequest request() const override {
    ObservationRequest request;
    request.queries = Queries::window;
    request.window = window_;
    request.after = after_;
    request.value_norms = vnorm_;
    request.key_similarity = diversity_ > 0;
    return request;
  }

  Scores score(const LayerObservation& observation) const override {
    Scores scores = attention_of_kv_heads(observation, Group::mean);
    if (vnorm_) weigh_by_value_norms(scores, observation);
    normalize_before_window(scores, recent_);
    add_lifted(scores, recent_, lift_);
    if (diversity_ > 0) add_unlikeness(scores, observation);
    return scores;
  }

  SelectionRule selection(const Target&) const override { return {.last = recent_}; }

 private:
  void add_unlikeness(Scores& scores, const LayerObservation& observation) const {
    Scores unlike = scaled(observation.key_similarity, observation, "key similarities", -1.0f);
    for (float& value : unlike.values) value += 1.0f;
    if (vnorm_) weigh_by_value_norms(unlike, observation);
    normalize_before_window(unlike, recent_);
    for (std::size_t i = 0; i < unlike.values.size(); ++i) scores.values[i] += diversity_ * unlike.values[i];
  }

  std::int32_t window_, recent_;
  float diversity_;
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace

MethodInfo hybrid_method() {
  return {"hybrid",
          "keeps tokens that the last queries attend to, those after them, and unusual keys, per KV head",
          "of this project; attention as in SnapKV (arXiv 2404.14469), value norms as in VATP (arXiv "
          "2406.12335), unlike keys as in KeyDiff (arXiv 2504.15364)",
          {window_parameter(16),
           integer_parameter("recent", 32, 0, 65536, "last tokens that are always kept; at least the window"),
           spread_parameter(0.3), reach_parameter(),
           real_parameter("diversity", 0.3, 0, 100, "weight of keys that are unlike the average key"),
           vnorm_parameter(1), after_parameter(16)},
          [](const Parameters& p) { return std::make_shared<Hybrid>(p); }};
}

}  // namespace chunkkv
