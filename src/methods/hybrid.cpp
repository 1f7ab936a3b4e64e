#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

#include <algorithm>
#include <utility>

namespace chunkkv {
namespace {

/// Adds three kinds of score, each with a total of 1 before its weight: the observed queries' attention to a
/// token times its value's norm; the same spread over following tokens; how unlike the others its key is.
class Hybrid final : public Method {
 public:
  explicit Hybrid(const Parameters& p)
      : reads_all_(p.choice("queries") == "all"),
        stride_(reads_all_ ? p.integer("stride") : 1),
        window_(reads_all_ ? 0 : p.integer("window")),
        recent_(std::max(p.integer("recent"), window_)),
        diversity_(float(p.real("diversity"))),
        vnorm_(p.flag("vnorm")),
        lift_(p),
        after_(p.integer("after")) {}

  ObservationRequest request() const override {
    return {.queries = reads_all_ ? Queries::all : Queries::window,
            .window = window_,
            .stride = stride_,
            .after = after_,
            .value_norms = vnorm_,
            .key_similarity = diversity_ > 0};
  }

  Scores score(const LayerObservation& observation) const override {
    Scores scores = attention_of_kv_heads(observation, Group::mean);
    if (vnorm_) weigh_by_value_norms(scores, observation);
    normalize_before_window(scores, recent_);
    add_lifted(scores, recent_, lift_);
    if (diversity_ > 0) add_unlikeness(scores, observation);
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {.last = recent_}; }

 private:
  void add_unlikeness(Scores& scores, const LayerObservation& observation) const {
    Scores unlike = scaled(observation.key_similarity, observation, "key similarities", -1.0f);
    for (float& value : unlike.values) value += 1.0f;
    if (vnorm_) weigh_by_value_norms(unlike, observation);
    normalize_before_window(unlike, recent_);
    for (std::size_t i = 0; i < unlike.values.size(); ++i) scores.values[i] += diversity_ * unlike.values[i];
  }

  bool reads_all_;
  std::int32_t stride_, window_, recent_;
  float diversity_;
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace

MethodInfo hybrid_method() {
  // With queries=all there is no question, so no passage to lift and no answer, and rare keys are worth more.
  const auto all = [](ParameterInfo parameter, const char* default_value) {
    return with_default(std::move(parameter), "queries", "all", default_value);
  };
  return {
      "hybrid",
      "keeps tokens that the last queries attend to, those after them, and unusual keys, per KV head",
      "of this project; attention as in SnapKV (arXiv 2404.14469), value norms as in VATP (arXiv "
      "2406.12335), unlike keys as in KeyDiff (arXiv 2504.15364), the answer's queries as in Lookahead "
      "Q-Cache (arXiv 2505.20334)",
      {choice_parameter("queries", {"window", "all"},
                        "whose attention is read: the last queries', or, where the question is not known, "
                        "those of the whole prompt"),
       window_parameter(16), stride_parameter(16),
       integer_parameter("recent", 32, 0, 65536, "last tokens that are always kept; at least the window"),
       all(spread_parameter(0.3), "0"), reach_parameter(),
       all(real_parameter("diversity", 0.3, 0, 100, "weight of keys that are unlike the average key"), "1"),
       vnorm_parameter(1), all(after_parameter(16), "0")},
      [](const Parameters& p) { return std::make_shared<Hybrid>(p); }};
}

}  // namespace chunkkv
