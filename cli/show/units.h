#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>

namespace chunkkv::cli {

/// Rounds to thousandths, as results hold milliseconds and rates.
inline double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

inline double in_mebibytes(std::uint64_t bytes) {
  return double(bytes) / (1 << 20);
}

inline std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{:.2f} MiB", in_mebibytes(bytes));
}

}  // namespace chunkkv::cli
