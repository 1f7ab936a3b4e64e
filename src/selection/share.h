#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace chunkkv {

/// floor(n * share) with `share` as the user wrote it in decimal: in binary 0.29 * 100 is just below 29.
inline std::int32_t floor_share(std::int32_t n, double share) {
  constexpr double slack = 1.0 + 4.0 * std::numeric_limits<double>::epsilon();
  return std::int32_t(std::floor(n * share * slack));
}

}  // namespace chunkkv
