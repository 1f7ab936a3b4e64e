#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

namespace chunkkv {
namespace {

ChunkRule parse_rule(const std::string& name) {
  if (name == "exact") return ChunkRule::exact;
  return name == "kvpress" ? ChunkRule::kvpress : ChunkRule::paper;
}

class ChunkKV final : public Method {
 public:
  explicit ChunkKV(const Parameters& p)
      : chunk_(p.integer("chunk")),
        window_(p.integer("window")),
        kernel_(p.integer("kernel")),
        reuse_(p.integer("reuse")),
        chunk_score_(p.choice("score") == "mean" ? ChunkScore::mean : ChunkScore::sum),
        pool_(p.choice("pool") == "max" ? Pool::max : Pool::average),
        rule_(parse_rule(p.choice("rule"))),
        vnorm_(p.flag("vnorm")),
        lift_(p),
        after_(p.integer("after")) {}

  ObservationRequest request() const override {
    return {.queries = Queries::window, .window = window_, .after = after_, .value_norms = vnorm_};
  }

  /// The paper sums attention over window and heads; kvpress sums SnapKV's mean scores over KV heads.
  Scores score(const LayerObservation& observation) const override {
    const bool means = rule_ == ChunkRule::kvpress;
    Scores per_head = attention_of_kv_heads(observation, means ? Group::mean : Group::sum);
    if (means) scale(per_head, 1.0f / float(observation.n_queries));
    if (vnorm_) weigh_by_value_norms(per_head, observation);
    pool_before_window(per_head, window_, pool_, kernel_);
    add_lifted(per_head, window_, lift_);
    return sum_of_heads(per_head);
  }

  SelectionRule rule(const Target&) const override {
    return {.last = window_, .chunk = chunk_, .chunk_score = chunk_score_, .rule = rule_};
  }

  std::int32_t reuse() const override { return reuse_; }

 private:
  std::int32_t chunk_, window_, kernel_, reuse_;
  ChunkScore chunk_score_;
  Pool pool_;
  ChunkRule rule_;
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace

MethodInfo chunkkv_method() {
  return {
      "chunkkv",
      "keeps whole chunks of neighbouring tokens that the last queries attend to, the same in all heads of a "
      "layer",
      "ChunkKV: Semantic-Preserving KV Cache Compression for Efficient Long-Context LLM Inference, "
      "arXiv 2502.00299",
      {chunk_parameter(10), window_parameter(32),
       choice_parameter("score", {"sum", "mean"}, "a chunk's score from its tokens'"), kernel_parameter(1),
       pool_parameter(),
       integer_parameter("reuse", 1, 1, 1024,
                         "N: only every N-th layer scores, the next N - 1 keep the same tokens"),
       choice_parameter("rule", {"paper", "exact", "kvpress"},
                        "paper: whole chunks that fit; exact: the whole budget, the last chunk cut; kvpress: "
                        "that library's rounding"),
       vnorm_parameter(), spread_parameter(), reach_parameter(), after_parameter()},
      [](const Parameters& p) { return std::make_shared<ChunkKV>(p); }};
}

}  // namespace chunkkv
