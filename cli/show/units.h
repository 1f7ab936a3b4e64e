#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace chunkkv::cli {

inline double in_mebibytes(std::uint64_t bytes) {
  return double(bytes) / (1 << 20);
}

inline std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{:.2f} MiB", in_mebibytes(bytes));
}

}  // namespace chunkkv::cli
