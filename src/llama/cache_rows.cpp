#include "llama/cache_rows.h"

#include <chunkkv/error.h>

namespace chunkkv::engine {

ggml_tensor* gather(Graph& g, const CacheLayer& cache, const ggml_tensor* rows,
                    std::span<const std::int32_t> cells) {
  ggml_tensor* all = g.alias(rows, rows->type, {rows->ne[0], rows->ne[1], 1, 1},
                             {rows->nb[0], rows->nb[1], rows->nb[2], rows->nb[2]});
  ggml_tensor* index = g.input(GGML_TYPE_I32, {std::int64_t(cells.size()), 1, 1, 1}, cells.data());
  ggml_tensor* picked = ggml_get_rows(g.ctx(), all, index);
  return ggml_reshape_3d(g.ctx(), picked, rows->ne[0] / cache.n_head_kv, cache.n_head_kv,
                         std::int64_t(cells.size()));
}

std::int32_t CacheRows::width() const {
  return std::int32_t(rows_->ne[0] / cache_.n_head_kv);
}

void CacheRows::read(std::int32_t first, std::int32_t count, std::span<float> out) const {
  if (first < 0 || count < 1 || std::size_t(first) + std::size_t(count) > cells_.size() ||
      out.size() != std::size_t(count) * std::size_t(rows_->ne[0]))
    throw Error("a method reads rows that the cache does not have");
  Graph g(compute_.device_of(rows_), 8);
  g.output(gather(g, cache_, rows_, cells_.subspan(std::size_t(first), std::size_t(count))), out.data());
  g.run();
}

}  // namespace chunkkv::engine
