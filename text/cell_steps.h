#pragma once

#include <cstdint>

namespace chunkkv::text {

/// Attention works on multiples of so many cells: the next one from `n_cells` on.
inline std::int64_t in_cell_steps(std::int64_t n_cells) {
  constexpr std::int64_t kStep = 256;
  return (n_cells + kStep - 1) / kStep * kStep;
}

}  // namespace chunkkv::text
