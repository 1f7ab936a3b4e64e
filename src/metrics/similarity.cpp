#include <chunkkv/error.h>
#include <chunkkv/metrics.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace chunkkv {
namespace {

/// Mean Jaccard similarity over KV heads; a single list counts for each head of the other layer.
double heads_similarity(const LayerKept& a, const LayerKept& b) {
  const std::size_t n = std::max(a.heads.size(), b.heads.size());
  for (const auto* layer : {&a, &b})
    if (layer->heads.empty() || (layer->heads.size() != 1 && layer->heads.size() != n))
      throw UsageError(
          fmt::format("layers {} and {} have {} and {} lists of kept tokens: one a KV head, or a "
                      "single shared one, can be compared",
                      a.layer, b.layer, a.heads.size(), b.heads.size()));
  double sum = 0;
  for (std::size_t h = 0; h < n; ++h)
    sum += jaccard(a.heads[a.heads.size() == 1 ? 0 : h], b.heads[b.heads.size() == 1 ? 0 : h]);
  return sum / double(n);
}

}  // namespace

double jaccard(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  std::size_t common = 0, i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    common += a[i] == b[j];
    const bool step_a = a[i] <= b[j], step_b = b[j] <= a[i];
    i += step_a;
    j += step_b;
  }
  const std::size_t either = a.size() + b.size() - common;
  return either == 0 ? 1.0 : double(common) / double(either);
}

std::vector<double> layer_similarity(std::span<const LayerKept> layers) {
  const std::size_t n = layers.size();
  std::vector<double> matrix(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i; j < n; ++j)
      matrix[i * n + j] = matrix[j * n + i] = heads_similarity(layers[i], layers[j]);
  return matrix;
}

double adjacent_similarity(std::span<const double> matrix, std::size_t n_layers) {
  if (matrix.size() != n_layers * n_layers)
    throw UsageError(fmt::format("a similarity matrix of {} layers has {} cells, not {}", n_layers,
                                 n_layers * n_layers, matrix.size()));
  if (n_layers < 2) return 1.0;
  double sum = 0;
  for (std::size_t l = 0; l + 1 < n_layers; ++l) sum += matrix[l * n_layers + l + 1];
  return sum / double(n_layers - 1);
}

}  // namespace chunkkv
