#pragma once

#include <chunkkv/sequence.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// Checks kept sets and gives every list the length of the longest. UsageError unless layers 0, 1, ... come
/// in order and each list holds at least one entry, all ascending, unique and below `n_entries`.
///
/// The engine's cache has the same number of cells in every layer and head, while a chunk at the end of a
/// prompt can be shorter than the others. With Uneven::keep_newest shorter lists get the newest entries that
/// they lack; with Uneven::mask they repeat their last entry. `visible` becomes, by layer, how many entries
/// of its lists count.
std::vector<LayerKept> equalized(std::span<const LayerKept> layers, std::int32_t n_entries, Uneven uneven,
                                 std::vector<std::size_t>& visible);

}  // namespace chunkkv
