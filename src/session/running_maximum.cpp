#include "session/running_maximum.h"

#include "selection/pooling.h"

#include <algorithm>
#include <numeric>

namespace chunkkv {

void raise_to_running_maximum(AttentionHistory& highest, Scores& scores, std::int32_t layer,
                              std::int32_t span) {
  const auto n = std::size_t(scores.n_entries);
  for (std::int32_t h = 0; h < scores.n_heads; ++h) {
    const std::span<float> values(scores.head(h), n);
    const double total = std::accumulate(values.begin(), values.end(), 0.0);
    const std::vector<float> raised = pooled(values, Pool::max, span);
    std::transform(raised.begin(), raised.end(), values.begin(),
                   [&](float v) { return total > 0 ? float(v / total) : 0.0f; });
  }
  const std::vector<float> before = highest.sums(layer, scores.n_entries);
  for (std::size_t i = 0; i < before.size(); ++i) scores.values[i] = std::max(scores.values[i], before[i]);
  highest.set(layer, scores.values, scores.n_entries);
}

std::int32_t span_for(std::int32_t budget) {
  return std::clamp(budget / 32, 0, 15) * 2 + 1;  // odd
}

}  // namespace chunkkv
