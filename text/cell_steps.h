#pragma once

#include <cstdint>

namespace chunkkv::text {

/// `n_cells` rounded up to a multiple of 256: attention works on steps of so many cells.
inline std::int64_t round_up_cells(std::int64_t n_cells) {
  constexpr std::int64_t kStep = 256;
  return (n_cells + kStep - 1) / kStep * kStep;
}

}  // namespace chunkkv::text
