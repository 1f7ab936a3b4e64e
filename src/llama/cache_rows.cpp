#include "llama/cache_rows.h"

#include <chunkkv/error.h>

#include <cstring>
#include <string>

namespace chunkkv::engine {

RowTensor keys_of(const CacheLayer& cache) {
  return {cache.k, cache.k->ne[0] / cache.n_head_kv};
}

RowTensor values_of(const CacheLayer& cache, const char* what) {
  if (cache.v_transposed || (cache.v == nullptr && cache.head_dim_v == 0))
    throw UsageError(std::string(what) + " need flash attention (-fa on)");
  if (cache.v == nullptr) return {cache.k, cache.head_dim_v};
  return {cache.v, cache.v->ne[0] / cache.n_head_kv};
}

ggml_tensor* gather(Graph& g, const CacheLayer& cache, const RowTensor& tensor,
                    std::span<const std::int32_t> cells) {
  const ggml_tensor* rows = tensor.rows;
  ggml_tensor* all = g.alias(rows, rows->type, {rows->ne[0], rows->ne[1], 1, 1},
                             {rows->nb[0], rows->nb[1], rows->nb[2], rows->nb[2]});
  ggml_tensor* index = g.input(GGML_TYPE_I32, {std::int64_t(cells.size()), 1, 1, 1}, cells.data());
  ggml_tensor* picked = ggml_get_rows(g.ctx(), all, index);
  const std::int64_t whole = rows->ne[0] / cache.n_head_kv;
  picked = ggml_reshape_3d(g.ctx(), picked, whole, cache.n_head_kv, std::int64_t(cells.size()));
  if (tensor.width == whole) return picked;
  return ggml_cont(g.ctx(), ggml_view_3d(g.ctx(), picked, tensor.width, picked->ne[1], picked->ne[2],
                                         picked->nb[1], picked->nb[2], 0));
}

void to_floats(ggml_type type, const std::byte* row, std::span<float> values) {
  if (type == GGML_TYPE_F32)
    std::memcpy(values.data(), row, values.size_bytes());
  else
    ggml_get_type_traits(type)->to_float(row, values.data(), std::int64_t(values.size()));
}

std::vector<float> row_of(const ggml_tensor* rows, std::int32_t cell) {
  std::vector<std::byte> bytes(ggml_row_size(rows->type, rows->ne[0]));
  ggml_backend_tensor_get(rows, bytes.data(), rows->nb[1] * std::size_t(cell), bytes.size());
  std::vector<float> values(std::size_t(rows->ne[0]));
  to_floats(rows->type, bytes.data(), values);
  return values;
}

void CacheRows::read(std::int32_t first, std::int32_t count, std::span<float> out) const {
  if (first < 0 || count < 1 || std::size_t(first) + std::size_t(count) > cells_.size() ||
      out.size() != std::size_t(count) * std::size_t(cache_.n_head_kv) * std::size_t(tensor_.width))
    throw Error("a method reads rows that the cache does not have");
  Graph g(compute_.device_of(tensor_.rows), 8);
  g.output(gather(g, cache_, tensor_, cells_.subspan(std::size_t(first), std::size_t(count))), out.data());
  g.run();
}

}  // namespace chunkkv::engine
