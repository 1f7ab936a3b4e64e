#include "selection/pooling.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace chunkkv {

std::vector<float> pooled(std::span<const float> values, Pool kind, std::int32_t kernel) {
  const auto n = std::ptrdiff_t(values.size());
  const float empty = kind == Pool::max ? -std::numeric_limits<float>::infinity() : 0.0f;
  std::vector<float> out(values.size(), empty);

  // The kernel is the outer loop: the inner one runs over contiguous entries and is vectorised.
  for (std::ptrdiff_t k = 0; k < kernel; ++k) {
    const std::ptrdiff_t shift = k - kernel / 2;
    const std::ptrdiff_t begin = std::max<std::ptrdiff_t>(0, -shift), end = std::min(n, n - shift);
    for (std::ptrdiff_t i = begin; i < end; ++i) {
      float& value = out[std::size_t(i)];
      const float next = values[std::size_t(i + shift)];
      value = kind == Pool::max ? std::max(value, next) : value + next;
    }
  }
  if (kind == Pool::average)
    for (float& value : out) value /= float(kernel);
  return out;
}

}  // namespace chunkkv
