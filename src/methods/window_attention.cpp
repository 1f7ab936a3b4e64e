#include "methods/window_attention.h"

#include "methods/parameters.h"

namespace chunkkv {
namespace {

Group parse_group(const std::string& name) {
  if (name == "max") return Group::max;
  return name == "sum" ? Group::sum : Group::mean;
}

}  // namespace

WindowAttention::WindowAttention(const Parameters& p)
    : window_(p.integer("window")),
      kernel_(p.integer("kernel")),
      pool_(p.choice("pool") == "max" ? Pool::max : Pool::average),
      group_(parse_group(p.choice("group"))),
      vnorm_(p.flag("vnorm")),
      lift_(p),
      after_(p.integer("after")) {}

std::vector<ParameterInfo> WindowAttention::parameters() {
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

ObservationRequest WindowAttention::request() const {
  ObservationRequest request;
  request.queries = Queries::window;
  request.window = window_;
  request.after = after_;
  request.value_norms = vnorm_;
  return request;
}

Scores WindowAttention::score(const LayerObservation& observation) const {
  Scores scores = attention_of_kv_heads(observation, group_);
  scale(scores, 1.0f / float(observation.n_queries));
  if (vnorm_) weigh_by_value_norms(scores, observation);
  pool_before_window(scores, window_, pool_, kernel_);
  add_lifted(scores, window_, lift_);
  return scores;
}

}  // namespace chunkkv
