#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

namespace chunkkv {
namespace {

Group parse_group(const std::string& name) {
  if (name == "max") return Group::max;
  return name == "sum" ? Group::sum : Group::mean;
}

class SnapKV final : public Method {
 public:
  explicit SnapKV(const Parameters& p)
      : window_(p.integer("window")),
        kernel_(p.integer("kernel")),
        pool_(p.choice("pool") == "max" ? Pool::max : Pool::average),
        group_(parse_group(p.choice("group"))),
        vnorm_(p.flag("vnorm")) {}

  ObservationRequest request() const override {
    ObservationRequest request;
    request.queries = Queries::window;
    request.window = window_;
    request.value_norms = vnorm_;
    return request;
  }

  Scores score(const LayerObservation& observation) const override {
    Scores scores = attention_of_kv_heads(observation, group_);
    scale(scores, 1.0f / float(observation.n_queries));
    if (vnorm_) weigh_by_value_norms(scores, observation);
    pool_before_window(scores, window_, pool_, kernel_);
    return scores;
  }

  SelectionRule selection(const Target&) const override { return {.last = window_}; }

 private:
  std::int32_t window_, kernel_;
  Pool pool_;
  Group group_;
  bool vnorm_;
};

}  // namespace

MethodInfo snapkv_method() {
  return {
      "snapkv",
      "keeps the tokens that the last queries attend to, pooled over neighbours, per KV head",
      "SnapKV: LLM Knows What You are Looking for Before Generation, arXiv 2404.14469",
      {window_parameter(32), kernel_parameter(5), pool_parameter(),
       choice_parameter("group", {"mean", "max", "sum"}, "how query heads that share a KV head become one"),
       vnorm_parameter()},
      [](const Parameters& p) { return std::make_shared<SnapKV>(p); }};
}

}  // namespace chunkkv
