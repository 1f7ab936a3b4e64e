#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/scoring.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

namespace chunkkv {
namespace {

/// Combines all values, eight at a time so that none waits for the last one: joined(so far, value).
template <class Number, class Join>
Number combined(std::span<const float> values, Number start, Join joined) {
  std::array<Number, 8> parts{};
  parts.fill(start);
  std::size_t i = 0;
  for (; i + parts.size() <= values.size(); i += parts.size())
    for (std::size_t k = 0; k < parts.size(); ++k) parts[k] = joined(parts[k], Number(values[i + k]));
  for (; i < values.size(); ++i) parts[0] = joined(parts[0], Number(values[i]));
  return std::accumulate(parts.begin() + 1, parts.end(), parts[0], joined);
}

/// The soft max of values: each share is a power times `factor`.
struct Shares {
  std::vector<float> powers;
  double factor = 0;
};

/// Powers are computed in single precision, which takes a third of the time, and added up in double.
Shares softmax(std::span<const float> values) {
  Shares shares{{values.begin(), values.end()}};
  if (values.empty()) return shares;
  const float largest =
      combined(values, values.front(), [](float most, float value) { return std::max(most, value); });
  for (float& power : shares.powers) power = std::exp(power - largest);
  shares.factor = 1 / combined(std::span<const float>(shares.powers), 0.0, std::plus<>());
  return shares;
}

class RKV final : public Method {
 public:
  explicit RKV(const Parameters& p)
      : lambda_(p.real("lambda")),
        threshold_(p.real("threshold")),
        window_(p.integer("window")),
        kernel_(p.integer("kernel")),
        vnorm_(p.flag("vnorm")),
        lift_(p),
        after_(p.integer("after")) {}

  ObservationRequest request() const override {
    return {.queries = Queries::window,
            .window = window_,
            .after = after_,
            .attention = AttentionKind::group_max_past,
            .value_norms = vnorm_,
            .redundancy_threshold = float(threshold_)};
  }

  Scores score(const LayerObservation& observation) const override {
    Scores scores = importance(observation);
    const auto redundancy = observed(observation.redundancy, scores.n_heads, observation, "redundancy");
    const auto n = std::size_t(observation.n_entries);
    for (std::int32_t h = 0; h < scores.n_heads; ++h) {
      const Shares shares = softmax(redundancy.subspan(std::size_t(h) * n, n));
      const float own = float(lambda_), others = float((1 - lambda_) * shares.factor);
      float* values = scores.head(h);
      for (std::size_t i = 0; i < n; ++i) values[i] = own * values[i] - others * shares.powers[i];
    }
    return scores;
  }

  SelectionRule rule(const Target&) const override { return {.last = window_}; }

 private:
  Scores importance(const LayerObservation& observation) const {
    Scores scores =
        scaled(observation.attention, observation, "attention", 1.0f / float(observation.n_queries));
    if (vnorm_) weigh_by_relative_value_norms(scores, observation);
    pool_before_window(scores, window_, Pool::max, kernel_);
    add_lifted(scores, window_, lift_);
    return scores;
  }

  /// Norms relative to their head's mean, so that lambda still weighs two distributions.
  static void weigh_by_relative_value_norms(Scores& scores, const LayerObservation& observation) {
    weigh_by_value_norms(scores, observation);
    const auto n = std::size_t(observation.n_entries);
    for (std::int32_t h = 0; h < scores.n_heads; ++h) {
      const auto norms = std::span(observation.value_norms).subspan(std::size_t(h) * n, n);
      const double total = std::accumulate(norms.begin(), norms.end(), 0.0);
      const float inverse_mean = total > 0.0 ? float(double(n) / total) : 0.0f;
      std::for_each_n(scores.head(h), n, [&](float& score) { score *= inverse_mean; });
    }
  }

  double lambda_, threshold_;
  std::int32_t window_, kernel_;
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace

MethodInfo rkv_method() {
  return {"rkv",
          "keeps tokens that are attended to and whose keys do not repeat others', per KV head",
          "R-KV: Redundancy-aware KV Cache Compression for Reasoning Models, arXiv 2505.24133",
          {real_parameter("lambda", 0.1, 0, 1, "weight of the importance; the redundancy weighs 1 - lambda"),
           window_parameter(8), kernel_parameter(7),
           real_parameter("threshold", 0.5, 0, 1, "cosine above which keys count as similar"),
           vnorm_parameter(), spread_parameter(), reach_parameter(), after_parameter()},
          [](const Parameters& p) { return std::make_shared<RKV>(p); }};
}

}  // namespace chunkkv
