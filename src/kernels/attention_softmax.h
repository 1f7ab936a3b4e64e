#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// The sums of a tile's queries so far: weights and weighted values, relative to the maximum. Each query has
/// the same lane in all of them.
struct TileSums {
  float *maximum, *weight, *values;  ///< [lanes], [lanes], [depth][lanes]
};

/// The maximum of a query that has not seen a cell yet.
constexpr float kNoMaximum = -1e30f;

/// The soft max of one strip of cells: turns logits, in powers of two, into weights. Lanes are queries.
template <class A>
struct Softmax {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;

  static void cap(float* logits, std::int64_t n, float softcap) {
    for (float* row = logits; row < logits + n * A::kLanes; row += V::kWidth)
      V::store(row, V::capped(V::load(row), softcap));
  }

  /// Takes the cells `begin` to `end` of a strip. `seen`: [groups of 32 cells][lanes], null if all cells are
  /// seen. `other` may do other work in parts, one after each pair of cells, four of them between
  /// `other.start_group()` and `other.finish_group()`; `other.finish_values()` completes all additions to the
  /// sums of values before these are scaled.
  template <class Other>
  static void run(float* logits, std::int64_t begin, std::int64_t end, const std::uint32_t* seen,
                  std::int64_t depth, const TileSums& sums, char* weights, Other& other) {
    if (seen != nullptr) hide(logits, begin, end, seen);
    const bool try_maximum = kTriesMaximum && sums.maximum[0] != kNoMaximum;
    if (try_maximum && to_weights(logits, begin, end, seen, sums, weights, other)) return;
    raise(logits, end - begin, depth, sums, other);
    to_weights(logits, begin, end, seen, sums, weights, other);
  }

  /// Whether no query's weights add up to much more than 1: then they are nearly shares of all so far.
  static CHUNKKV_INLINE bool has_settled(const TileSums& sums) {
    bool has = true;
    for (int c = 0; c < A::kColumns; ++c)
      has = has && !V::any(V::load(sums.weight + c * V::kWidth) > V::all(kMostSum));
    return has;
  }

  /// Makes it so for the cells `begin` to `end` of a strip that come next: raises the maximum of queries that
  /// see some of them.
  template <class Other>
  static CHUNKKV_INLINE void settle(std::int64_t begin, std::int64_t end, const std::uint32_t* seen,
                                    std::int64_t depth, const TileSums& sums, Other& other) {
    for (int c = 0; c < A::kColumns; ++c) {
      const F sum = V::load(sums.weight + c * V::kWidth), old = V::load(sums.maximum + c * V::kWidth);
      I lanes = sum > V::all(kMostSum);
      if (!V::any(lanes)) continue;
      if (seen != nullptr) {
        I any{};
        for (std::int64_t group = begin / 32; 32 * group < end; ++group)
          any |= V::load(seen + group * A::kLanes + c * V::kWidth);
        lanes &= any != 0;
      }
      raise(c, old + log2(sum), lanes, depth, sums, other);
    }
  }

  /// Sets a logit to minus infinity where its lane does not see the cell.
  static void hide(float* logits, std::int64_t begin, std::int64_t end, const std::uint32_t* seen) {
    for (std::int64_t cell = begin; cell < end; ++cell, logits += A::kLanes)
      for (int c = 0; c < A::kColumns; ++c) {
        const I words = V::load(seen + cell / 32 * A::kLanes + c * V::kWidth);
        float* at = logits + c * V::kWidth;
        V::store(at, V::shown(words, int(cell % 32), V::load(at)));
      }
  }

  /// The weight of a cell, which may be hidden, before it is rounded.
  static CHUNKKV_INLINE F weight_of(F logit, F maximum) {
    return shown<true>(logit, V::template exp2<A::kPowerDegree>(logit - maximum));
  }

 private:
  static constexpr float kMostSum = 2;

  /// The logarithm of a number of at least 1, to 0.01: its bits nearly are one.
  static CHUNKKV_INLINE F log2(F x) {
    const I bits = (I)x - (I)V::all(1.0f);
    const F f = __builtin_convertvector(bits & 0x7fffff, F) * V::all(0x1p-23f);
    return __builtin_convertvector(bits, F) * V::all(0x1p-23f) + V::all(0.34f) * f * (V::all(1.0f) - f);
  }

  /// With a slack the maximum seldom rises after the first strip: it is tried before the logits are read for
  /// a new one, if weights do not take their place.
  static constexpr bool kTriesMaximum = A::kSlack > 0 && A::kWeightBytes > 0;

  /// Raises the maximum in lanes where a logit exceeds it by more than kSlack, and scales their sums.
  template <class Other>
  static CHUNKKV_INLINE void raise(const float* logits, std::int64_t n, std::int64_t depth,
                                   const TileSums& sums, Other& other) {
    F top[A::kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < A::kColumns; ++c) top[c] = V::load(logits + c * V::kWidth);
    for (const float* row = logits + A::kLanes; row < logits + n * A::kLanes; row += A::kLanes)
#pragma GCC unroll 4
      for (int c = 0; c < A::kColumns; ++c) top[c] = V::maximum(V::load(row + c * V::kWidth), top[c]);

#pragma GCC unroll 4
    for (int c = 0; c < A::kColumns; ++c) {
      const F old = V::load(sums.maximum + c * V::kWidth);
      raise(c, top[c], top[c] > old + V::all(A::kSlack), depth, sums, other);
    }
  }

  /// Sets the maximum of some lanes of a column and scales their sums.
  template <class Other>
  static CHUNKKV_INLINE void raise(int column, F maximum, I lanes, std::int64_t depth, const TileSums& sums,
                                   Other& other) {
    if (!V::any(lanes)) return;
    other.finish_values();
    float *const at = sums.maximum + column * V::kWidth, *const weight = sums.weight + column * V::kWidth;
    const F old = V::load(at), now = (F)(((I)maximum & lanes) | ((I)old & ~lanes));
    // The factor is exactly 1 in lanes whose maximum stays.
    const F factor = (F)(((I)V::template exp2<5>(old - now) & lanes) | ((I)V::all(1.0f) & ~lanes));
    V::store(at, now);
    V::store(weight, V::load(weight) * factor);
    for (float* row = sums.values + column * V::kWidth; row < sums.values + depth * A::kLanes;
         row += A::kLanes)
      V::store(row, V::load(row) * factor);
  }

  /// Turns logits into weights and adds these to the sums, if no logit exceeds its lane's maximum by more
  /// than kSlack. Otherwise the sums stay as they are, and it returns false.
  template <class Other>
  static CHUNKKV_INLINE bool to_weights(float* logits, std::int64_t begin, std::int64_t end,
                                        const std::uint32_t* seen, const TileSums& sums, char* weights,
                                        Other& other) {
    return seen != nullptr ? to_weights<true>(logits, begin, end, sums, weights, other)
                           : to_weights<false>(logits, begin, end, sums, weights, other);
  }

  template <bool Hidden, class Other>
  static CHUNKKV_INLINE bool to_weights(float* logits, std::int64_t begin, std::int64_t end,
                                        const TileSums& sums, char* weights, Other& other) {
    F maximum[A::kColumns], top[A::kColumns], weight[A::kColumns];
    for (int c = 0; c < A::kColumns; ++c) {
      maximum[c] = top[c] = V::load(sums.maximum + c * V::kWidth);
      weight[c] = V::load(sums.weight + c * V::kWidth);
    }
    constexpr int distance = A::kPairDistance;
    for (std::int64_t cell = begin; cell < end; cell += 2 * distance) {
      const auto take_pair = [&](int i) __attribute__((always_inline)) {
        float* first = logits + (cell - begin + i) * A::kLanes;
        float* second = first + distance * A::kLanes;
        char* pair = weights + ((cell - begin) / 2 + i) * A::kLanes * 4;
#pragma GCC unroll 4
        for (int c = 0; c < A::kColumns; ++c) {
          float *to_a = first + c * V::kWidth, *to_b = second + c * V::kWidth;
          const F a = V::load(to_a), b = V::load(to_b);
          if constexpr (kTriesMaximum) top[c] = V::maximum(b, V::maximum(a, top[c]));
          A::store_weights(to_a, to_b, pair + c * V::kWidth * 4, rounded_weight<Hidden>(a, maximum[c]),
                           rounded_weight<Hidden>(b, maximum[c]), weight[c]);
        }
      };
      if constexpr (distance % 4 != 0) {
        for (int i = 0; i < distance; ++i) take_pair(i);
      } else {
        for (int i = 0; i < distance; i += 4) {
          other.start_group();
          do_between(
              [&](int k) __attribute__((always_inline)) { take_pair(i + k); }, true, other);
          other.finish_group();
        }
      }
    }
    for (int c = 0; c < A::kColumns; ++c)
      if (V::any(top[c] > maximum[c] + V::all(A::kSlack))) return false;
    for (int c = 0; c < A::kColumns; ++c) V::store(sums.weight + c * V::kWidth, weight[c]);
    return true;
  }

  /// The weight of a cell, to be stored by `store_weights`.
  template <bool Hidden>
  static CHUNKKV_INLINE F rounded_weight(F logit, F maximum) {
    return shown<Hidden>(logit, V::template exp2<A::kPowerDegree>(logit - maximum, A::kRounding));
  }

  /// The weight of a cell: exactly 0 if the cell is hidden, and NaN if its logit is NaN.
  template <bool Hidden>
  static CHUNKKV_INLINE F shown(F logit, F weight) {
    if constexpr (!Hidden) return weight;
    const I visible = logit != V::all(-__builtin_inff());
    return (F)((I)weight & visible);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
