#pragma once

#include <chunkkv/observation.h>

#include "llama/compute.h"
#include "llama/tap.h"

#include <cstdint>
#include <span>

namespace chunkkv::engine {

/// The rows of `cells` of a tensor of the cache, as F32: [head_dim, n_head_kv, cells.size()].
ggml_tensor* gather(Graph& g, const CacheLayer& cache, const ggml_tensor* rows,
                    std::span<const std::int32_t> cells);

/// Rows of the cache as methods read them. Refers to all that it is given.
class CacheRows final : public Rows {
 public:
  CacheRows(Compute& compute, const CacheLayer& cache, const ggml_tensor* rows,
            std::span<const std::int32_t> cells)
      : compute_(compute), cache_(cache), rows_(rows), cells_(cells) {}

  std::int32_t width() const override;
  void read(std::int32_t first, std::int32_t count, std::span<float> out) const override;

 private:
  Compute& compute_;
  const CacheLayer& cache_;
  const ggml_tensor* rows_;
  std::span<const std::int32_t> cells_;  // of every entry
};

}  // namespace chunkkv::engine
