#pragma once

#include "llama/cache_layers.h"
#include "llama/compute.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Moves rows of one layer's keys and values, byte for byte, whatever the cache type or device.
///
/// For every KV head h, the row of cell `from[h][i]` goes to cell `to[i]`. `from` has one list, which
/// all heads follow, or one per KV head; sources and targets may overlap. No other row is touched.
/// At any time it holds a copy of the moved rows of one tensor, or of one head for each thread, only.
void move_rows(Compute& compute, const CacheLayer& cache, std::span<const std::vector<std::int32_t>> from,
               std::span<const std::int32_t> to);

}  // namespace chunkkv::engine
