#pragma once

#include "llama/cache_layers.h"
#include "llama/cache_rows.h"
#include "llama/compute.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Statistics of cached rows, `[n_head_kv][cells.size()]`, in the order of `cells`. Rows are read and
/// dequantised in tiles of a few thousand, so that no copy of a layer exists.

/// L2 norms of keys or values.
std::vector<float> row_norms(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                             std::span<const std::int32_t> cells);

/// Sums of the absolute values of keys or values.
std::vector<float> row_magnitudes(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                                  std::span<const std::int32_t> cells);

/// Cosine of each key with the mean of the normalised keys of its head (KeyDiff, arXiv 2504.15364).
std::vector<float> key_similarity(Compute& compute, const CacheLayer& cache,
                                  std::span<const std::int32_t> cells);

}  // namespace chunkkv::engine
