#pragma once

#include <chunkkv/types.h>

namespace chunkkv {

/// Adds one layer's scores to a sum over layers, [1][n_entries]: the mean over its heads, shifted to a
/// lowest score of 0 and scaled to a total of 1, so that every layer has the same say.
void add_shared(Scores& sum, const Scores& layer);

}  // namespace chunkkv
