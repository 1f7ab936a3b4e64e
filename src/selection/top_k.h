#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace chunkkv {

/// The `count`-th largest key, of at least one and at most all. A sample of many keys tells between which two
/// it lies, nearly always, and only those between them are partly sorted: for numbers a third of the time.
template <class Key>
Key nth_largest(std::span<const Key> keys, std::size_t count) {
  const auto nth = [](std::span<Key> some, std::size_t n) {
    const auto at = some.begin() + std::ptrdiff_t(n - 1);
    std::nth_element(some.begin(), at, some.end(), std::greater<>());
    return *at;
  };
  const auto nth_of_all = [&] {
    std::vector<Key> all(keys.begin(), keys.end());
    return nth(all, count);
  };
  constexpr std::size_t kSample = 256, kSpread = 16;  // the rank's standard deviation is 8 at most
  if (keys.size() < 4 * kSample) return nth_of_all();
  std::array<Key, kSample> sample{};
  for (std::size_t i = 0; i < kSample; ++i) sample[i] = keys[i * keys.size() / kSample];
  const std::size_t rank = count * kSample / keys.size();
  const bool has_high = rank > kSpread, has_low = rank + kSpread <= kSample;
  const Key high = has_high ? nth(sample, rank - kSpread) : Key{};
  const Key low = has_low ? nth(sample, rank + kSpread) : Key{};

  const auto is_above = [&](const Key& key) { return has_high && key > high; };
  const auto n_above = std::size_t(std::count_if(keys.begin(), keys.end(), is_above));
  // Every key is written and the next one takes its place if it is not between the two: nothing to predict.
  std::vector<Key> between(keys.size() + 1);
  std::size_t n = 0;
  for (const Key& key : keys) {
    between[n] = key;
    n += std::size_t(!has_high || key <= high) & std::size_t(!has_low || key >= low);
  }
  if (count <= n_above || count > n_above + n) return nth_of_all();  // the sample misleads
  return nth(std::span(between).first(n), count - n_above);
}

/// Indices of the `k` largest keys, ascending; ties go to the lower index. O(n). Key needs a total order.
template <class Key>
std::vector<std::int32_t> top_k(std::span<const Key> keys, std::int32_t k) {
  const auto count = std::min(std::size_t(std::max(k, 0)), keys.size());
  std::vector<std::int32_t> top;
  if (count == 0) return top;

  const Key threshold = nth_largest(keys, count);
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
