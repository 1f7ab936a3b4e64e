#pragma once

#include "llama/cache_layers.h"
#include "llama/compute.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// R-KV's redundancy (arXiv 2505.24133) of the keys in `cells`, `[n_head_kv][cells.size()]`, exactly as
/// LayerObservation::redundancy defines it, without the n x n similarity matrix.
///
/// The column mean is linear: the sum over i of k_i . k_j is k_j . (sum of all k_i), less the diagonal
/// and less the one entry that each row sets to zero. That entry is found by comparing rows with blocks
/// of keys from the newest backwards. Rows leave the search at their first hit, so the time is
/// near-linear wherever recent keys resemble older ones, and quadratic in the worst case.
std::vector<float> redundancy(Compute& compute, const CacheLayer& cache, std::span<const std::int32_t> cells,
                              float threshold);

}  // namespace chunkkv::engine
