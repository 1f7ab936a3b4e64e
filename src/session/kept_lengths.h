#pragma once

#include <chunkkv/sequence.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// The kept sets with every list as long as the longest, checked: lists of ascending, unique entries
/// below `n_entries`, at least one each, layers 0, 1, ... in order. UsageError otherwise.
///
/// The engine's cache has the same number of cells in every layer and head, while a chunk at the end of
/// a prompt can be shorter than the others. Shorter lists take the newest entries that they lack, or, where
/// they are to be masked, repeat their last entry at the end. `visible`: by layer, how many entries of
/// its lists count.
std::vector<LayerKept> equalized(std::span<const LayerKept> layers, std::int32_t n_entries, Uneven uneven,
                                 std::vector<std::size_t>& visible);

}  // namespace chunkkv
