#include "methods/snapkv.h"

#include "methods/list.h"
#include "methods/parameters.h"

namespace chunkkv {
namespace {

Group parse_group(const std::string& name) {
  if (name == "max") return Group::max;
  return name == "sum" ? Group::sum : Group::mean;
}

}  // namespace

SnapKV::SnapKV(const Parameters& p)
    : window_(p.integer("window")),
      kernel_(p.integer("kernel")),
      pool_(p.choice("pool") == "max" ? Pool::max : Pool::average),
      group_(parse_group(p.choice("group"))),
      vnorm_(p.flag("vnorm")),
      lift_(p),
      after_(p.integer("after")) {}

std::vector<ParameterInfo> SnapKV::parameters() {
  return {
      window_parameter(32),
      kernel_parameter(5),
      pool_parameter(),
      choice_parameter("group", {"mean", "max", "sum"}, "how query heads that share a KV head become one"),
      vnorm_parameter(),
      spread_parameter(),
      reach_parameter(),
      after_parameter()};
}

ObservationRequest SnapKV::request() const {
  return {.queries = Queries::window, .window = window_, .after = after_, .value_norms = vnorm_};
}

Scores SnapKV::score(const LayerObservation& observation) const {
  Scores scores = attention_of_kv_heads(observation, group_);
  scale(scores, 1.0f / float(observation.n_queries));
  if (vnorm_) weigh_by_value_norms(scores, observation);
  pool_before_window(scores, window_, pool_, kernel_);
  add_lifted(scores, window_, lift_);
  return scores;
}

MethodInfo snapkv_method() {
  return {"snapkv", "keeps the tokens that the last queries attend to, pooled over neighbours, per KV head",
          "SnapKV: LLM Knows What You are Looking for Before Generation, arXiv 2404.14469",
          SnapKV::parameters(), [](const Parameters& p) { return std::make_shared<SnapKV>(p); }};
}

}  // namespace chunkkv
