#pragma once

#include <chunkkv/observation.h>

#include "llama/cache_layers.h"
#include "llama/compute.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Keys or values of one layer.
struct RowTensor {
  const ggml_tensor* rows;
  std::int64_t width;  ///< numbers of a KV head, the first ones of the head's row
};
RowTensor keys_of(const CacheLayer& cache);
/// UsageError without flash attention, where the engine keeps values transposed; `what` names their reader.
RowTensor values_of(const CacheLayer& cache, const char* what);

/// The rows of `cells`, as F32: [width, n_head_kv, cells.size()], contiguous.
ggml_tensor* gather(Graph& g, const CacheLayer& cache, const RowTensor& tensor,
                    std::span<const std::int32_t> cells);

/// Converts a row of any cache type to floats. `values` must have as many numbers as the row.
void to_floats(ggml_type type, const std::byte* row, std::span<float> values);

/// The row of one cell, all heads, as floats; still rotated where the engine rotates quantised rows.
std::vector<float> row_of(const ggml_tensor* rows, std::int32_t cell);

/// Rows of one layer as methods read them. Its arguments must outlive it, since it refers to them.
class CacheRows final : public Rows {
 public:
  CacheRows(Compute& compute, const CacheLayer& cache, const RowTensor& tensor,
            std::span<const std::int32_t> cells)
      : compute_(compute), cache_(cache), tensor_(tensor), cells_(cells) {}

  std::int32_t width() const override { return std::int32_t(tensor_.width); }
  void read(std::int32_t first, std::int32_t count, std::span<float> out) const override;

 private:
  Compute& compute_;
  const CacheLayer& cache_;
  RowTensor tensor_;
  std::span<const std::int32_t> cells_;  // cell of each entry
};

}  // namespace chunkkv::engine
