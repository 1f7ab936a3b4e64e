#pragma once

#include <chunkkv/observation.h>

#include "llama/cache_layers.h"
#include "llama/compute.h"

#include <cstdint>
#include <span>

namespace chunkkv::engine {

/// Keys or values of one layer.
struct RowKind {
  const ggml_tensor* rows;
  std::int64_t width;  ///< numbers of a head: the first of its row
};
RowKind keys_of(const CacheLayer& cache);
/// UsageError where the engine keeps them transposed; `what` reads them.
RowKind values_of(const CacheLayer& cache, const char* what);

/// The rows of `cells`, as F32: [width, n_head_kv, cells.size()], contiguous.
ggml_tensor* gather(Graph& g, const CacheLayer& cache, const RowKind& kind,
                    std::span<const std::int32_t> cells);

/// Rows of the cache as methods read them. Refers to all that it is given.
class CacheRows final : public Rows {
 public:
  CacheRows(Compute& compute, const CacheLayer& cache, const RowKind& kind,
            std::span<const std::int32_t> cells)
      : compute_(compute), cache_(cache), kind_(kind), cells_(cells) {}

  std::int32_t width() const override { return std::int32_t(kind_.width); }
  void read(std::int32_t first, std::int32_t count, std::span<float> out) const override;

 private:
  Compute& compute_;
  const CacheLayer& cache_;
  RowKind kind_;
  std::span<const std::int32_t> cells_;  // of every entry
};

}  // namespace chunkkv::engine
