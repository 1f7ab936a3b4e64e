#pragma once

#include "kernels/attention_vectors.h"

#include <type_traits>

namespace chunkkv::kernels {
namespace {

/// Products of the keys of a strip and the lanes of a tile.
template <class A>
struct SimilarProducts {
  using V = typename A::Vector;
  using F = typename V::F;
  using Steps = typename A::Logits;
  static constexpr std::int64_t kLanes = A::kLanes;
  /// The most keys of a strip: they are the bits of a word.
  static constexpr std::int64_t kMostKeys = 64;

  float* numbers;  ///< [strip][lanes]
  /// For each column of vectors a bit for each kKeyUnit keys: those whose products are there. The others' are
  /// too low.
  std::uint64_t near[A::kColumns];

  explicit SimilarProducts(float* at) : numbers(at) {
    for (std::uint64_t& all : near) all = ~std::uint64_t(0);
  }

  float& at(std::int64_t key, std::int64_t lane) const { return numbers[key * kLanes + lane]; }

  /// The lanes of a column that each key of a strip hits, as bits.
  class Hits {
   public:
    CHUNKKV_INLINE void set(std::int64_t key, std::uint32_t lanes) { lanes_[key] = Lanes(lanes); }

    /// The keys that hit a lane, as bits.
    CHUNKKV_INLINE std::uint64_t keys_of(int lane) const {
#if defined(__AVX512BW__)
      if constexpr (V::kWidth == 16) {
        const __m512i bit = _mm512_set1_epi16(std::int16_t(1 << lane));
        return std::uint64_t(_mm512_test_epi16_mask(_mm512_loadu_si512(lanes_), bit)) |
               std::uint64_t(_mm512_test_epi16_mask(_mm512_loadu_si512(lanes_ + 32), bit)) << 32;
      }
#endif
#if defined(__AVX2__)
      if constexpr (V::kWidth == 8) {
        const __m128i places = _mm_cvtsi32_si128(7 - lane);  // brings the lane's bit to the highest of a byte
        std::uint64_t keys = 0;
        for (int half = 0; half < 2; ++half) {
          const __m256i lanes = _mm256_loadu_si256((const __m256i*)(lanes_ + 32 * half));
          keys |= std::uint64_t(std::uint32_t(_mm256_movemask_epi8(_mm256_sll_epi16(lanes, places))))
                  << 32 * half;
        }
        return keys;
      }
#endif
      std::uint64_t keys = 0;
      for (int key = 0; key < kMostKeys; ++key) keys |= std::uint64_t(lanes_[key] >> lane & 1) << key;
      return keys;
    }

   private:
    using Lanes = std::conditional_t<V::kWidth == 8, std::uint8_t, std::uint16_t>;
    static_assert(V::kWidth <= 16);
    Lanes lanes_[kMostKeys] = {};
  };

  /// Finds the products of `n` keys with a column that exceed the lane's bound. Returns the lanes of all
  /// hits.
  CHUNKKV_INLINE std::uint32_t find(int column, std::int64_t n, F bound, Hits& hits) const {
    const float* const at = numbers + column * V::kWidth;
    std::uint32_t all = 0;
    const auto look = [&](std::int64_t key) __attribute__((always_inline)) {
      const std::uint32_t lanes = V::above(V::load(at + key * kLanes), bound);
      hits.set(key, lanes);
      all |= lanes;
    };
    std::uint64_t bits = near[column];
    for (std::int64_t first = 0; first < n; first += A::kKeyUnit, bits >>= 1) {
      if ((bits & 1) == 0) continue;
      for (std::int64_t key = first; key < min_of(first + A::kKeyUnit, n); ++key) look(key);
    }
    return all;
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
