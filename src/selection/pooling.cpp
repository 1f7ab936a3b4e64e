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

/// The algorithm of van Herk and of Gil and Werman: the input is cut into blocks as long as the window, so
/// every window is the end of one block and the beginning of the next.
std::vector<float> lifted(std::span<const float> values, std::int32_t before, std::int32_t after) {
  if (values.empty()) return {};
  const std::size_t n = values.size(), width = std::size_t(before) + std::size_t(after) + 1;
  std::vector<float> from_left(n + width - 1, -std::numeric_limits<float>::infinity());
  std::copy(values.begin(), values.end(), from_left.begin() + before);
  std::vector<float> from_right = from_left;
  for (std::size_t i = 1; i < from_left.size(); ++i)
    if (i % width != 0) from_left[i] = std::max(from_left[i], from_left[i - 1]);
  for (std::size_t i = from_right.size() - 1; i > 0; --i)
    if (i % width != 0) from_right[i - 1] = std::max(from_right[i - 1], from_right[i]);
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = std::max(from_right[i], from_left[i + width - 1]);
  return out;
}

}  // namespace chunkkv
