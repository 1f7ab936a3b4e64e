#pragma once

#include "llama/handles.h"

#include <cstddef>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// The values of a row of any cache type. `values` has as many as the row.
void to_floats(ggml_type type, const std::byte* row, std::span<float> values);

/// The row of one cell, as it lies in the cache.
std::vector<float> row_of(const ggml_tensor* rows, std::int32_t cell);

}  // namespace chunkkv::engine
