#pragma once

#include "llama/handles.h"

#include <cstddef>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Converts a row of any cache type to floats. `values` must have as many numbers as the row.
void to_floats(ggml_type type, const std::byte* row, std::span<float> values);

/// The row of one cell, all heads, as floats; still rotated where the engine rotates quantised rows.
std::vector<float> row_of(const ggml_tensor* rows, std::int32_t cell);

}  // namespace chunkkv::engine
