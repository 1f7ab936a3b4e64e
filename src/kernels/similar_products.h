#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Products of the keys of a strip and the lanes of a tile.
template <class A>
struct SimilarProducts {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;
  using Steps = typename A::Logits;
  static constexpr std::int64_t kLanes = A::kLanes;

  float* numbers;  ///< [strip][lanes]
  /// For each column of vectors a bit for each kKeyUnit keys: those whose products are there. The others' are
  /// too low.
  std::uint64_t near[A::kColumns];

  explicit SimilarProducts(float* at) : numbers(at) {
    for (std::uint64_t& all : near) all = ~std::uint64_t(0);
  }

  bool has(std::int64_t key, int lane) const {
    return (near[lane / V::kWidth] >> (key / A::kKeyUnit) & 1) != 0;
  }
  float& at(std::int64_t key, std::int64_t lane) const { return numbers[key * kLanes + lane]; }

  /// The last of `n` keys for each lane of a column whose product exceeds the lane's bound; -1: none.
  CHUNKKV_INLINE I find_last(int column, std::int64_t n, F bound) const {
    const float* const at = numbers + column * V::kWidth;
    I found[4], keys[4];  // of every fourth key, so that none waits for another
    for (int k = 0; k < 4; ++k) {
      found[k] = I{} - 1;
      keys[k] = I{} + k;
    }
    const auto look = [&](std::int64_t i, int k) __attribute__((always_inline)) {
      found[k] = V::load(at + i * kLanes) > bound ? keys[k] : found[k];
      keys[k] += 4;
    };
    std::uint64_t bits = near[column];
    for (std::int64_t i = 0, end; i < n; bits >>= 1, i = end) {
      end = i + A::kKeyUnit;
      if ((bits & 1) == 0) {
        for (I& key : keys) key += A::kKeyUnit;
        continue;
      }
      for (; i + 4 <= min_of(n, end); i += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) look(i + k, k);
      for (int k = 0; i + k < min_of(n, end); ++k) look(i + k, k);
    }
    return V::maximum(V::maximum(found[0], found[1]), V::maximum(found[2], found[3]));
  }

  /// The highest product of each lane. Distributes `steps` over the rows, and fetches a line of `later` with
  /// each.
  CHUNKKV_INLINE void highest(std::int64_t n, F* most, Steps& steps, const char* later) const {
    F even[A::kColumns], odd[A::kColumns];  // of every second row, so that none waits for another
    for (int c = 0; c < A::kColumns; ++c) even[c] = odd[c] = V::all(-__builtin_inff());
    std::int64_t i = 0;
    const auto take_four = [&](std::int64_t first) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (std::int64_t k = first; k < first + 4; ++k) __builtin_prefetch(later + 64 * k);
#pragma GCC unroll 4
      for (std::int64_t k = first; k < first + 4; k += 2)
#pragma GCC unroll 4
        for (int c = 0; c < A::kColumns; ++c) {
          const float* row = numbers + k * kLanes + c * V::kWidth;
          even[c] = V::maximum(V::load(row), even[c]);
          odd[c] = V::maximum(V::load(row + kLanes), odd[c]);
        }
    };
    for (; i + 16 <= n; i += 16) {
      do_between(
          [&](int k) __attribute__((always_inline)) { take_four(i + 4 * k); }, steps.left() > 0, steps);
    }
    for (; i < n; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < A::kColumns; ++c)
        even[c] = V::maximum(V::load(numbers + i * kLanes + c * V::kWidth), even[c]);
    for (int c = 0; c < A::kColumns; ++c) most[c] = V::maximum(even[c], odd[c]);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
