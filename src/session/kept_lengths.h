#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// The kept sets with every list as long as the longest, checked: lists of ascending, unique entries
/// below `n_entries`, at least one each, layers 0, 1, ... in order. UsageError otherwise.
///
/// The engine's cache has the same number of cells in every layer and head, while a chunk at the end of
/// a prompt can be shorter than the others. Shorter lists take the newest entries that they lack.
std::vector<LayerKept> with_one_length(std::span<const LayerKept> layers, std::int32_t n_entries);

}  // namespace chunkkv
