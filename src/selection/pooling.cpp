#include "selection/pooling.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace chunkkv {

namespace {

/// Zeros count beyond the ends. The kernel is the outer loop: the inner one runs over contiguous entries and
/// is vectorised.
std::vector<float> averages(std::span<const float> values, std::ptrdiff_t kernel) {
  const auto n = std::ptrdiff_t(values.size());
  std::vector<float> out(values.size(), 0.0f);
  for (std::ptrdiff_t k = 0; k < kernel; ++k) {
    const std::ptrdiff_t shift = k - kernel / 2;
    const std::ptrdiff_t begin = std::max<std::ptrdiff_t>(0, -shift), end = std::min(n, n - shift);
    for (std::ptrdiff_t i = begin; i < end; ++i) out[std::size_t(i)] += values[std::size_t(i + shift)];
  }
  for (float& value : out) value /= float(kernel);
  return out;
}

/// Maxima of 2, 4, 8 .. neighbours, and then of two such runs that overlap.
std::vector<float> maxima(std::span<const float> values, std::size_t kernel) {
  std::vector<float> runs(values.size() + kernel - 1, -std::numeric_limits<float>::infinity());
  std::copy(values.begin(), values.end(), runs.begin() + std::ptrdiff_t(kernel / 2));
  std::size_t width = 1;
  for (; 2 * width <= kernel; width *= 2)
    for (std::size_t i = 0; i + width < runs.size(); ++i) runs[i] = std::max(runs[i], runs[i + width]);
  std::vector<float> out(values.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::max(runs[i], runs[i + kernel - width]);
  return out;
}

}  // namespace

std::vector<float> pooled(std::span<const float> values, Pool kind, std::int32_t kernel) {
  return kind == Pool::average ? averages(values, kernel) : maxima(values, std::size_t(kernel));
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
