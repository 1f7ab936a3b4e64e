#pragma once

#include <algorithm>
#include <array>
#include <bit>
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

/// The same for many numbers, in about a third of the time: they are counted by leading bits, and only those
/// that share the leading bits of the one that is looked for remain.
template <std::floating_point Key>
Key nth_largest(std::span<const Key> keys, std::size_t count) {
  using Order = std::conditional_t<sizeof(Key) == 4, std::uint32_t, std::uint64_t>;
  static_assert(sizeof(Key) == sizeof(Order));
  constexpr Order sign = Order(1) << (std::numeric_limits<Order>::digits - 1);
  constexpr int bits = 11;
  constexpr std::size_t few = 64;
  // Whole numbers in the order of the keys; adding 0 makes -0 equal to 0.
  std::vector<Order> orders(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto number = std::bit_cast<Order>(keys[i] + Key(0));
    orders[i] = (number & sign) != 0 ? Order(~number) : Order(number | sign);
  }
  while (orders.size() > few) {
    const auto range = std::ranges::minmax(orders);
    const Order low = range.min;
    if (low == range.max) break;
    const int shift = std::max(0, int(std::bit_width(Order(range.max - low))) - bits);
    std::array<std::size_t, std::size_t(1) << bits> counts{};
    for (const Order order : orders) ++counts[std::size_t(Order(order - low) >> shift)];
    std::size_t bucket = counts.size() - 1;
    for (; counts[bucket] < count; --bucket) count -= counts[bucket];
    std::erase_if(orders, [&](Order order) { return std::size_t(Order(order - low) >> shift) != bucket; });
  }
  const Order found = nth_largest(std::move(orders), count);
  return std::bit_cast<Key>((found & sign) != 0 ? Order(found & ~sign) : Order(~found));
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
