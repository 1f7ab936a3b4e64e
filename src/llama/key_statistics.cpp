#include "llama/key_statistics.h"

#include "llama/cache_rows.h"
#include "llama/row_blocks.h"

#include <algorithm>
#include <cmath>

namespace chunkkv::engine {
namespace {

constexpr std::size_t kMostTensors = 32;
constexpr float kSmallestKeyNorm = 1e-12f;

/// Runs `build(graph, tile of cells)` for all tiles. It returns n_head_kv numbers for each cell of the tile;
/// they are transposed to [n_head_kv][cells.size()].
template <class Build>
std::vector<float> by_head(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                           std::span<const std::int32_t> cells, Build build) {
  const std::size_t heads = std::size_t(cache.n_head_kv);
  std::vector<float> result(heads * cells.size());
  std::vector<float> part;
  for (std::size_t done = 0; done < cells.size(); done += kRowsOfBlock) {
    const auto tile = cells.subspan(done, std::min(kRowsOfBlock, cells.size() - done));
    Graph g(compute.device_of(rows.rows), kMostTensors);
    part.resize(heads * tile.size());
    g.output(build(g, tile), part.data());
    g.run();
    for (std::size_t i = 0; i < tile.size(); ++i)
      for (std::size_t h = 0; h < heads; ++h) result[h * cells.size() + done + i] = part[i * heads + h];
  }
  return result;
}

/// The sum of each head's normalised keys, [n_head_kv][head_dim], by graphs: for rows that no kernel reads.
std::vector<double> sum_of_units(Compute& compute, const CacheLayer& cache,
                                 std::span<const std::int32_t> cells) {
  const std::size_t width = std::size_t(cache.k->ne[0]);
  std::vector<double> sum(width);
  std::vector<float> part(width);
  for (std::size_t done = 0; done < cells.size(); done += kRowsOfBlock) {
    const auto tile = cells.subspan(done, std::min(kRowsOfBlock, cells.size() - done));
    Graph g(compute.device_of(cache.k), kMostTensors);
    ggml_tensor* keys = ggml_l2_norm(g.ctx(), gather(g, cache, keys_of(cache), tile), kSmallestKeyNorm);
    ggml_tensor* columns = ggml_reshape_2d(g.ctx(), keys, cache.k->ne[0], std::int64_t(tile.size()));
    g.output(ggml_sum_rows(g.ctx(), ggml_cont(g.ctx(), ggml_transpose(g.ctx(), columns))), part.data());
    g.run();
    for (std::size_t i = 0; i < width; ++i) sum[i] += part[i];
  }
  return sum;
}

/// The direction of the sum of each head's normalised keys, as a unit vector: [n_head_kv][head_dim].
std::vector<float> mean_direction(const CacheLayer& cache, std::span<const double> sum) {
  const std::size_t width = sum.size();
  const std::size_t dim = width / std::size_t(cache.n_head_kv);
  std::vector<float> direction(width);
  for (std::size_t head = 0; head < width; head += dim) {
    double norm = 0;
    for (std::size_t i = head; i < head + dim; ++i) norm += sum[i] * sum[i];
    norm = std::max(std::sqrt(norm), double(kSmallestKeyNorm));
    for (std::size_t i = head; i < head + dim; ++i) direction[i] = float(sum[i] / norm);
  }
  return direction;
}

}  // namespace

std::vector<float> row_norms(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                             std::span<const std::int32_t> cells) {
  if (const auto* kernel = row_kernel(compute, rows)) {
    std::vector<float> result(std::size_t(cache.n_head_kv) * cells.size());
    for_row_blocks(compute, cache, rows, all_heads(cache), cells, [&](const RowBlock& b) {
      kernel->norms(b.task, b.first, b.end, result.data() + std::size_t(b.head) * cells.size());
    });
    return result;
  }
  return by_head(compute, cache, rows, cells, [&](Graph& g, std::span<const std::int32_t> tile) {
    return ggml_sqrt(g.ctx(), ggml_sum_rows(g.ctx(), ggml_sqr(g.ctx(), gather(g, cache, rows, tile))));
  });
}

std::vector<float> row_magnitudes(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                                  std::span<const std::int32_t> cells) {
  return by_head(compute, cache, rows, cells, [&](Graph& g, std::span<const std::int32_t> tile) {
    return ggml_sum_rows(g.ctx(), ggml_abs(g.ctx(), gather(g, cache, rows, tile)));
  });
}

std::vector<float> key_similarity(Compute& compute, const CacheLayer& cache,
                                  std::span<const std::int32_t> cells) {
  const std::int64_t dim = cache.k->ne[0] / cache.n_head_kv;
  if (const auto* kernel = row_kernel(compute, keys_of(cache))) {
    const auto direction = mean_direction(
        cache, sum_of_row_blocks(compute, cache, keys_of(cache), all_heads(cache), cells,
                                 [&](const RowBlock& b, float* sum) {
                                   kernel->sum_of_units(b.task, b.first, b.end, kSmallestKeyNorm, sum);
                                 }));
    std::vector<float> result(std::size_t(cache.n_head_kv) * cells.size());
    for_row_blocks(compute, cache, keys_of(cache), all_heads(cache), cells, [&](const RowBlock& b) {
      kernel->cosines(b.task, b.first, b.end, kSmallestKeyNorm, direction.data() + b.head * dim,
                      result.data() + std::size_t(b.head) * cells.size());
    });
    return result;
  }
  const std::vector<float> direction = mean_direction(cache, sum_of_units(compute, cache, cells));
  return by_head(compute, cache, keys_of(cache), cells, [&](Graph& g, std::span<const std::int32_t> tile) {
    ggml_tensor* keys = ggml_l2_norm(g.ctx(), gather(g, cache, keys_of(cache), tile), kSmallestKeyNorm);
    ggml_tensor* mean = g.input(GGML_TYPE_F32, {dim, cache.n_head_kv, 1, 1}, direction.data());
    return ggml_sum_rows(g.ctx(), ggml_mul(g.ctx(), keys, mean));
  });
}

}  // namespace chunkkv::engine
