#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace chunkkv {

/// The `count`-th largest key, of at least one and at most all.
template <class Key>
Key nth_largest(std::vector<Key> keys, std::size_t count) {
  const auto nth = keys.begin() + std::ptrdiff_t(count - 1);
  std::nth_element(keys.begin(), nth, keys.end(), std::greater<>());
  return *nth;
}

/// The same for many numbers, in about a third of the time: a sample of them tells between which two the one
/// that is looked for lies, nearly always, and only those between them remain.
template <std::floating_point Key>
Key nth_largest(std::span<const Key> keys, std::size_t count) {
  constexpr std::size_t kSample = 256, kSpread = 16;  // the rank in the sample is off by 8 at most on average
  if (keys.size() < 4 * kSample) return nth_largest(std::vector<Key>(keys.begin(), keys.end()), count);
  std::array<Key, kSample> sample{};
  for (std::size_t i = 0; i < kSample; ++i) sample[i] = keys[i * keys.size() / kSample];
  const std::size_t rank = count * kSample / keys.size();
  const std::size_t before = rank > kSpread ? rank - kSpread : 0;
  const std::size_t after = std::min(rank + kSpread, kSample - 1);
  const auto first = sample.begin() + std::ptrdiff_t(before), last = sample.begin() + std::ptrdiff_t(after);
  std::nth_element(sample.begin(), first, sample.end(), std::greater<>());
  const Key high = before > 0 ? *first : std::numeric_limits<Key>::infinity();
  std::nth_element(first, last, sample.end(), std::greater<>());
  const Key low = after < kSample - 1 ? *last : -std::numeric_limits<Key>::infinity();

  const auto n_above =
      std::size_t(std::count_if(keys.begin(), keys.end(), [&](Key key) { return key > high; }));
  // Every key is written and the next one takes its place if it is not between the two: nothing to predict.
  std::vector<Key> between(keys.size() + 1);
  std::size_t n = 0;
  for (const Key key : keys) {
    between[n] = key;
    n += std::size_t(key <= high) & std::size_t(key >= low);
  }
  if (count <= n_above || count > n_above + n)  // the sample misleads
    return nth_largest(std::vector<Key>(keys.begin(), keys.end()), count);
  between.resize(n);
  return nth_largest(std::move(between), count - n_above);
}

/// Indices of the `k` largest keys, ascending; ties go to the lower index. O(n). Key needs a total order.
template <class Key>
std::vector<std::int32_t> top_k(std::span<const Key> keys, std::int32_t k) {
  const auto count = std::min(std::size_t(std::max(k, 0)), keys.size());
  std::vector<std::int32_t> top;
  if (count == 0) return top;

  const Key threshold = [&] {
    if constexpr (std::is_floating_point_v<Key>)
      return nth_largest(keys, count);
    else
      return nth_largest(std::vector<Key>(keys.begin(), keys.end()), count);
  }();
  auto ties = std::ptrdiff_t(count) -
              std::count_if(keys.begin(), keys.end(), [&](const Key& key) { return key > threshold; });
  // Every index is written and the next one takes its place if it is not among them: nothing to predict.
  top.resize(count + 1);
  std::size_t n = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    top[n] = std::int32_t(i);
    n += keys[i] > threshold || (keys[i] == threshold && ties-- > 0) ? 1 : 0;
  }
  top.resize(count);
  return top;
}

}  // namespace chunkkv
