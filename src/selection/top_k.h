#pragma once

#include <algorithm>
#include <array>
#include <bit>
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

/// The same for many numbers, in about a third of the time: most are only counted, by leading bits.
inline double nth_largest(std::span<const double> keys, std::size_t count) {
  constexpr int bits = 11;
  // Whole numbers in the order of the keys; adding 0 makes -0 equal to 0.
  std::vector<std::uint64_t> orders(keys.size());
  std::uint64_t low = std::numeric_limits<std::uint64_t>::max(), high = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto number = std::bit_cast<std::uint64_t>(keys[i] + 0.0);
    constexpr auto sign = std::uint64_t(1) << 63;
    orders[i] = (number & sign) != 0 ? ~number : number | sign;
    low = std::min(low, orders[i]);
    high = std::max(high, orders[i]);
  }
  const int shift = std::max(0, int(std::bit_width(high - low)) - bits);
  std::array<std::size_t, std::size_t(1) << bits> counts{};
  for (const std::uint64_t order : orders) ++counts[std::size_t((order - low) >> shift)];

  std::size_t bucket = counts.size() - 1;
  for (; counts[bucket] < count; --bucket) count -= counts[bucket];
  std::vector<double> rest;
  rest.reserve(counts[bucket]);
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (std::size_t((orders[i] - low) >> shift) == bucket) rest.push_back(keys[i]);
  return nth_largest(std::move(rest), count);
}

/// Indices of the `k` largest keys, ascending; ties go to the lower index. O(n). Key needs a total order.
template <class Key>
std::vector<std::int32_t> top_k(std::span<const Key> keys, std::int32_t k) {
  const auto count = std::min(std::size_t(std::max(k, 0)), keys.size());
  std::vector<std::int32_t> top;
  if (count == 0) return top;

  const Key threshold = [&] {
    if constexpr (std::is_same_v<Key, double>)
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
