#pragma once

#include <chunkkv/types.h>

#include <span>
#include <vector>

namespace chunkkv {

/// |A and B| / |A or B| of two kept sets (ascending, unique); 1 when both are empty.
double jaccard(std::span<const std::int32_t> a, std::span<const std::int32_t> b);

/// Similarity of kept sets between layers: a row-major matrix [n][n], each cell the mean over KV heads
/// of the heads' Jaccard similarity (a shared list counts for every head).
std::vector<double> layer_similarity(std::span<const LayerKept> layers);

/// Mean of the matrix's cells (l, l + 1); 1 for a single layer.
double adjacent_similarity(std::span<const double> matrix, std::size_t n_layers);

}  // namespace chunkkv
