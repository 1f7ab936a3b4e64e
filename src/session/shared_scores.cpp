#include "session/shared_scores.h"

#include <algorithm>
#include <numeric>

namespace chunkkv {

void add_shared(Scores& sum, const Scores& layer) {
  const auto n = std::size_t(layer.n_entries);
  std::vector<double> mean(n);
  for (std::int32_t h = 0; h < layer.n_heads; ++h)
    for (std::size_t i = 0; i < n; ++i) mean[i] += layer.head(h)[i];
  const double lowest = *std::min_element(mean.begin(), mean.end());
  for (double& score : mean) score -= lowest;
  const double total = std::accumulate(mean.begin(), mean.end(), 0.0);
  if (sum.values.empty()) sum = {1, layer.n_entries, std::vector<float>(n)};
  for (std::size_t i = 0; i < n && total > 0; ++i) sum.values[i] += float(mean[i] / total);
}

}  // namespace chunkkv
