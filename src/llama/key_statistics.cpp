#include "llama/key_statistics.h"

#include "kernels/row_statistics.h"
#include "llama/cache_rows.h"
#include "llama/kernel_run.h"

#include <algorithm>
#include <cmath>

namespace chunkkv::engine {
namespace {

constexpr std::size_t kRowsAtOnce = 2048;
constexpr std::size_t kMostTensors = 32;
constexpr float kSmallestKeyNorm = 1e-12f;

/// Runs `build(graph, tile of cells)`, whose result is [.., n_head_kv values a row], for all tiles and
/// turns the rows around: [n_head_kv][cells.size()].
template <class Build>
std::vector<float> by_head(Compute& compute, const CacheLayer& cache, const RowKind& rows,
                           std::span<const std::int32_t> cells, Build build) {
  const std::size_t heads = std::size_t(cache.n_head_kv);
  std::vector<float> result(heads * cells.size());
  std::vector<float> part;
  for (std::size_t done = 0; done < cells.size(); done += kRowsAtOnce) {
    const auto tile = cells.subspan(done, std::min(kRowsAtOnce, cells.size() - done));
    Graph g(compute.device_of(rows.rows), kMostTensors);
    part.resize(heads * tile.size());
    g.output(build(g, tile), part.data());
    g.run();
    for (std::size_t i = 0; i < tile.size(); ++i)
      for (std::size_t h = 0; h < heads; ++h) result[h * cells.size() + done + i] = part[i * heads + h];
  }
  return result;
}

/// Our kernel for rows that it can read, else null.
const kernels::RowStatisticsKernel* kernel_of(Compute& compute, const RowKind& rows) {
  const auto& kernels = kernels::row_statistics_kernels();
  const bool is_read =
      rows.rows->type == GGML_TYPE_F16 && rows.width % 16 == 0 && compute.device_of(rows.rows).is_cpu;
  return is_read && !kernels.empty() ? &kernels.front() : nullptr;
}

/// Calls `part(task of a head, head, first, end)` for blocks of entries, on all threads.
template <class Part>
void for_blocks(Compute& compute, const CacheLayer& cache, const RowKind& rows,
                std::span<const std::int32_t> cells, const Part& part) {
  const auto n = std::int64_t(cells.size()), block = std::int64_t(kRowsAtOnce);
  const std::int64_t n_blocks = (n + block - 1) / block;
  run_kernel(compute, rows.rows, 0, [&](char*, std::atomic<std::int64_t>& next) {
    for (std::int64_t i; (i = next.fetch_add(1)) < n_blocks * cache.n_head_kv;) {
      const std::int64_t head = i / n_blocks, first = i % n_blocks * block;
      const kernels::RowStatisticsTask task{
          .rows = static_cast<const char*>(rows.rows->data) + cache.head_bytes(rows.rows) * std::size_t(head),
          .row_bytes = rows.rows->nb[1],
          .cells = cells.data(),
          .depth = rows.width};
      part(task, head, first, std::min(n, first + block));
    }
  });
}

/// The sum of each head's normalised keys: [n_head_kv][head_dim].
std::vector<double> sum_of_units(Compute& compute, const CacheLayer& cache,
                                 std::span<const std::int32_t> cells,
                                 const kernels::RowStatisticsKernel& kernel) {
  const auto width = std::size_t(cache.k->ne[0]);
  const std::size_t dim = width / std::size_t(cache.n_head_kv);
  std::vector<float> parts((cells.size() + kRowsAtOnce - 1) / kRowsAtOnce * width);
  for_blocks(compute, cache, keys_of(cache), cells,
             [&](const auto& task, std::int64_t head, std::int64_t first, std::int64_t end) {
               const std::size_t at = std::size_t(first) / kRowsAtOnce * width + std::size_t(head) * dim;
               kernel.sum_of_units(task, first, end, kSmallestKeyNorm, parts.data() + at);
             });
  std::vector<double> sum(width);
  for (std::size_t i = 0; i < parts.size(); ++i) sum[i % width] += double(parts[i]);
  return sum;
}

/// Likewise where we have no kernel.
std::vector<double> sum_of_units(Compute& compute, const CacheLayer& cache,
                                 std::span<const std::int32_t> cells) {
  const std::size_t width = std::size_t(cache.k->ne[0]);
  std::vector<double> sum(width);
  std::vector<float> part(width);
  for (std::size_t done = 0; done < cells.size(); done += kRowsAtOnce) {
    const auto tile = cells.subspan(done, std::min(kRowsAtOnce, cells.size() - done));
    Graph g(compute.device_of(cache.k), kMostTensors);
    ggml_tensor* keys = ggml_l2_norm(g.ctx(), gather(g, cache, keys_of(cache), tile), kSmallestKeyNorm);
    ggml_tensor* columns = ggml_reshape_2d(g.ctx(), keys, cache.k->ne[0], std::int64_t(tile.size()));
    g.output(ggml_sum_rows(g.ctx(), ggml_cont(g.ctx(), ggml_transpose(g.ctx(), columns))), part.data());
    g.run();
    for (std::size_t i = 0; i < width; ++i) sum[i] += part[i];
  }
  return sum;
}

/// Mean direction of the normalised keys, normalised itself: [n_head_kv][head_dim].
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

std::vector<float> row_norms(Compute& compute, const CacheLayer& cache, const RowKind& rows,
                             std::span<const std::int32_t> cells) {
  if (const auto* kernel = kernel_of(compute, rows)) {
    std::vector<float> result(std::size_t(cache.n_head_kv) * cells.size());
    for_blocks(compute, cache, rows, cells,
               [&](const auto& task, std::int64_t head, std::int64_t first, std::int64_t end) {
                 kernel->norms(task, first, end, result.data() + std::size_t(head) * cells.size());
               });
    return result;
  }
  return by_head(compute, cache, rows, cells, [&](Graph& g, std::span<const std::int32_t> tile) {
    return ggml_sqrt(g.ctx(), ggml_sum_rows(g.ctx(), ggml_sqr(g.ctx(), gather(g, cache, rows, tile))));
  });
}

std::vector<float> row_magnitudes(Compute& compute, const CacheLayer& cache, const RowKind& rows,
                                  std::span<const std::int32_t> cells) {
  return by_head(compute, cache, rows, cells, [&](Graph& g, std::span<const std::int32_t> tile) {
    return ggml_sum_rows(g.ctx(), ggml_abs(g.ctx(), gather(g, cache, rows, tile)));
  });
}

std::vector<float> key_similarity(Compute& compute, const CacheLayer& cache,
                                  std::span<const std::int32_t> cells) {
  const std::int64_t dim = cache.k->ne[0] / cache.n_head_kv;
  if (const auto* kernel = kernel_of(compute, keys_of(cache))) {
    const auto direction = mean_direction(cache, sum_of_units(compute, cache, cells, *kernel));
    std::vector<float> result(std::size_t(cache.n_head_kv) * cells.size());
    for_blocks(compute, cache, keys_of(cache), cells,
               [&](const auto& task, std::int64_t head, std::int64_t first, std::int64_t end) {
                 kernel->cosines(task, first, end, kSmallestKeyNorm, direction.data() + head * dim,
                                 result.data() + std::size_t(head) * cells.size());
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
