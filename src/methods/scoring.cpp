#include "methods/scoring.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace chunkkv {
namespace {

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

Scores sum_of_heads(const Scores& scores) {
  Scores sum = empty_scores(1, scores.n_entries);
  const auto n = std::size_t(scores.n_entries);
  for (std::int32_t h = 0; h < scores.n_heads; ++h)
    for (std::size_t i = 0; i < n; ++i) sum.values[i] += scores.head(h)[i];
  return sum;
}

}  // namespace chunkkv
