#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

enum class Pool : std::uint8_t {
  average,  ///< entries beyond the ends count as zeros, the divisor is always the kernel
  max,      ///< entries beyond the ends do not count
};

/// 1-D pooling with stride 1: output i covers the `kernel` inputs from i - kernel / 2 on. Kernel 1 changes
/// nothing. Same results as torch's avg_pool1d and max_pool1d with padding kernel / 2.
std::vector<float> pooled(std::span<const float> values, Pool kind, std::int32_t kernel);

/// Sliding maximum: output i is the largest of inputs i - `before` .. i + `after` that exist. Linear in the
/// number of inputs, whatever the width.
std::vector<float> lifted(std::span<const float> values, std::int32_t before, std::int32_t after);

}  // namespace chunkkv
