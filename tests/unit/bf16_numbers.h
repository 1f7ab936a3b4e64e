#pragma once

#include <bit>
#include <cstdint>

namespace chunkkv::kernels {

// Pairs of numbers in BF16.
inline std::uint32_t pair_of(float even, float odd) {
  return std::bit_cast<std::uint32_t>(even) >> 16 | (std::bit_cast<std::uint32_t>(odd) & 0xffff0000u);
}

inline float low(std::uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
inline float high(std::uint32_t pair) {
  return std::bit_cast<float>(pair & 0xffff0000u);
}

}  // namespace chunkkv::kernels
