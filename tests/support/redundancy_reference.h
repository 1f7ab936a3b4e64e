#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace chunkkv::test {

/// LayerObservation::redundancy of one KV head as it is defined, at quadratic cost. `keys` is
/// [n][head_dim]; a key of length 0 has cosine 0 with every other.
inline std::vector<double> redundancy_reference(std::span<const float> keys, std::size_t n, float threshold) {
  const std::size_t dim = n == 0 ? 0 : keys.size() / n;
  std::vector<double> unit(keys.begin(), keys.end());
  for (std::size_t i = 0; i < n; ++i) {
    double square = 0;
    for (std::size_t d = 0; d < dim; ++d) square += unit[i * dim + d] * unit[i * dim + d];
    if (square == 0) continue;
    for (std::size_t d = 0; d < dim; ++d) unit[i * dim + d] /= std::sqrt(square);
  }

  std::vector<double> means(n), row(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t last_similar = 0;
    for (std::size_t j = 0; j < n; ++j) {
      row[j] = 0;
      if (j == i) continue;
      for (std::size_t d = 0; d < dim; ++d) row[j] += unit[i * dim + d] * unit[j * dim + d];
      if (row[j] > double(threshold)) last_similar = j;
    }
    row[last_similar] = 0;
    for (std::size_t j = 0; j < n; ++j) means[j] += row[j] / double(n);
  }
  return means;
}

}  // namespace chunkkv::test
