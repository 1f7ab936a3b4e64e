#include "methods/scoring.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace chunkkv {
namespace {

constexpr std::int32_t kNSinks = 4;        // first tokens that draw attention whatever they say
constexpr std::int32_t kLiftedBefore = 2;  // entries before a high score that it lifts as well

Scores empty_scores(std::int32_t n_heads, std::int32_t n_entries) {
  return {n_heads, n_entries, std::vector<float>(std::size_t(n_heads) * std::size_t(n_entries))};
}

}  // namespace

std::span<const float> observed(const std::vector<float>& values, std::int32_t n_heads,
                                const LayerObservation& observation, std::string_view what) {
  if (values.size() != std::size_t(n_heads) * std::size_t(observation.n_entries))
    throw Error(fmt::format("layer {}: {} of {} heads and {} tokens are needed, {} numbers were observed",
                            observation.layer, what, n_heads, observation.n_entries, values.size()));
  return values;
}

Scores attention_of_kv_heads(const LayerObservation& observation, Group group) {
  const auto attention = observed(observation.attention, observation.n_head, observation, "attention");
  const std::int32_t group_size = observation.n_head / observation.n_head_kv;
  const auto n = std::size_t(observation.n_entries);
  Scores scores = empty_scores(observation.n_head_kv, observation.n_entries);
  for (std::int32_t h = 0; h < observation.n_head; ++h) {
    const float* row = attention.data() + std::size_t(h) * n;
    float* out = scores.head(h / group_size);
    for (std::size_t i = 0; i < n; ++i)
      out[i] = group == Group::max ? std::max(out[i], row[i]) : out[i] + row[i];
  }
  if (group == Group::mean) scale(scores, 1.0f / float(group_size));
  return scores;
}

Scores scaled(const std::vector<float>& values, const LayerObservation& observation, std::string_view what,
              float factor) {
  const auto rows = observed(values, observation.n_head_kv, observation, what);
  Scores scores{observation.n_head_kv, observation.n_entries, {rows.begin(), rows.end()}};
  scale(scores, factor);
  return scores;
}

void scale(Scores& scores, float factor) {
  for (float& value : scores.values) value *= factor;
}

void weigh_by_value_norms(Scores& scores, const LayerObservation& observation) {
  const auto norms = observed(observation.value_norms, scores.n_heads, observation, "value norms");
  for (std::size_t i = 0; i < norms.size(); ++i) scores.values[i] *= norms[i];
}

void pool_before_window(Scores& scores, std::int32_t window, Pool kind, std::int32_t kernel) {
  const auto n = std::size_t(scores.n_entries - std::min(window, scores.n_entries));
  for (std::int32_t h = 0; h < scores.n_heads; ++h) {
    const auto values = pooled({scores.head(h), n}, kind, kernel);
    std::copy(values.begin(), values.end(), scores.head(h));
  }
}

double total_before_window(const Scores& scores, std::int32_t head, std::int32_t window) {
  const std::int32_t n = scores.n_entries - std::min(window, scores.n_entries);
  return std::accumulate(scores.head(head) + std::min(kNSinks, n), scores.head(head) + n, 0.0);
}

void normalize_before_window(Scores& scores, std::int32_t window) {
  for (std::int32_t h = 0; h < scores.n_heads; ++h) {
    const double total = total_before_window(scores, h, window);
    const double factor = total > 0 ? 1 / total : 0;
    std::for_each_n(scores.head(h), scores.n_entries, [&](float& value) { value = float(value * factor); });
  }
}

void add_lifted(Scores& scores, std::int32_t window, const Lift& lift) {
  if (lift.spread == 0) return;
  const std::int32_t n = scores.n_entries - std::min(window, scores.n_entries);
  Scores raised = scores;
  for (std::int32_t h = 0; h < scores.n_heads; ++h) {
    const std::vector<float> values = lifted({scores.head(h), std::size_t(n)}, lift.reach, kLiftedBefore);
    std::copy(values.begin(), values.end(), raised.head(h));
    const double total = total_before_window(raised, h, window);
    const double factor = total > 0 ? lift.spread * total_before_window(scores, h, window) / total : 0;
    for (std::int32_t i = 0; i < n; ++i)
      scores.head(h)[i] = float(scores.head(h)[i] + factor * raised.head(h)[i]);
  }
}

Scores sum_of_heads(const Scores& scores) {
  Scores sum = empty_scores(1, scores.n_entries);
  const auto n = std::size_t(scores.n_entries);
  for (std::int32_t h = 0; h < scores.n_heads; ++h)
    for (std::size_t i = 0; i < n; ++i) sum.values[i] += scores.head(h)[i];
  return sum;
}

}  // namespace chunkkv
