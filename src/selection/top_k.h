#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace chunkkv {

/// Indices of the `k` largest keys, ascending; ties go to the lower index. O(n). Key needs a total order.
template <class Key>
std::vector<std::int32_t> top_k(std::span<const Key> keys, std::int32_t k) {
  const auto count = std::min(std::size_t(std::max(k, 0)), keys.size());
  std::vector<std::int32_t> top;
  if (count == 0) return top;

  std::vector<Key> ranked(keys.begin(), keys.end());
  const auto nth = ranked.begin() + std::ptrdiff_t(count - 1);
  std::nth_element(ranked.begin(), nth, ranked.end(), std::greater<>());
  const Key& threshold = *nth;

  auto ties = std::ptrdiff_t(count) -
              std::count_if(keys.begin(), keys.end(), [&](const Key& key) { return key > threshold; });
  top.reserve(count);
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i] > threshold || (keys[i] == threshold && ties-- > 0)) top.push_back(std::int32_t(i));
  return top;
}

}  // namespace chunkkv
