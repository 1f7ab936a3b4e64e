#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// The attention that four cells receive from a tile's queries: weights, in pairs of cells, times factors of
/// their queries. `H`: vectors of pairs (`PairPrecision`) whose products are added up in single precision.
template <class H>
class SingleCellSums {
  using V = Vectors<16>;

 public:
  static constexpr std::size_t kFactorBytes = 128;  ///< the factors of 16 queries

  /// Pairs with 0: one for the first cell of a pair and one for the second.
  struct Factors {
    typename H::Pairs first, second;
  };
  static CHUNKKV_INLINE void pack_factors(V::F factors, char* packed) {
    H::round_pairs(factors, V::F{}, packed);
    H::round_pairs(V::F{}, factors, packed + 64);
  }
  static CHUNKKV_INLINE Factors load_factors(const char* packed) {
    return {H::load(packed), H::load(packed + 64)};
  }

  /// Adds the weights of 16 queries for one of two pairs of cells.
  CHUNKKV_INLINE void add(int pair, const typename H::Pairs& weights, const Factors& factors) {
    sums_[2 * pair] = H::fused(weights, factors.first, sums_[2 * pair]);
    sums_[2 * pair + 1] = H::fused(weights, factors.second, sums_[2 * pair + 1]);
  }
  CHUNKKV_INLINE void add_to(float* totals) const { add_four_sums<V>(sums_, totals); }

 private:
  V::F sums_[4] = {};
};

/// The same for products that are added up in F16, where the two cells of a pair stay apart. At most kColumns
/// products are added up so. Weights and factors are at most 1.
template <class H>
class HalfCellSums {
  using V = Vectors<16>;
  /// Factors are multiplied by this: shares of 2^-26 of a query's attention are not denormal, and no sum of
  /// eight overflows.
  static constexpr float kUnit = 4096;
  static_assert(H::kColumns <= 8);

 public:
  static constexpr std::size_t kFactorBytes = 64;

  using Factors = typename H::Pairs;
  static CHUNKKV_INLINE void pack_factors(V::F factors, char* packed) {
    factors *= V::all(kUnit);
    H::round_pairs(factors, factors, packed);
  }
  static CHUNKKV_INLINE Factors load_factors(const char* packed) { return H::load(packed); }

  CHUNKKV_INLINE void add(int pair, const typename H::Pairs& weights, const Factors& factors) {
    sums_[pair] = H::fused(weights, factors, sums_[pair]);
  }
  CHUNKKV_INLINE void add_to(float* totals) const {
    float four[4];
    V::store_sums_of_pairs(H::sum_of_halves(sums_[0]), H::sum_of_halves(sums_[1]), four);
    for (int i = 0; i < 4; ++i) totals[i] += four[i] * (1 / kUnit);
  }

 private:
  typename H::Sums sums_[2] = {H::zero(), H::zero()};
};

}  // namespace
}  // namespace chunkkv::kernels
