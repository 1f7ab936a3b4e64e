#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/bf16.h"

namespace chunkkv::kernels {
namespace {

/// Vectors of pairs in BF16 for `PairPrecision`, with sums in single precision: by AVX512-BF16 in sources
/// compiled for it, elsewhere in plain C++.
struct Bf16Pairs {
  using V = Vectors<16>;
  using F = V::F;
  using Sums = F;
  static constexpr int kColumns = 2;
  static constexpr int kStrip = 256;
  static constexpr int kItemLanes = 1536;
  static constexpr float kSlack = 8;
  static constexpr float kValueUnit = 1;
  static constexpr std::int64_t kChain = 0;
  static constexpr bool kScalesQueries = false;
  static constexpr float kRounding =
      0x1p-8f;  // half of the last bit that stays: cutting off rounds to nearest

#ifdef __AVX512BF16__
  using Pairs = __m512bh;
  static CHUNKKV_INLINE Pairs load(const char* from) {
    return (Pairs)_mm512_loadu_si512(from);
  }
  static CHUNKKV_INLINE Pairs all(const char* pair) {
    int bits;
    std::memcpy(&bits, pair, sizeof bits);
    return (Pairs)_mm512_set1_epi32(bits);
  }
  static CHUNKKV_INLINE Sums fused(Pairs a, Pairs b, Sums c) {
    return (F)_mm512_dpbf16_ps((__m512)c, b, a);
  }
  static CHUNKKV_INLINE void round(F x, char* to) {
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)x);
    std::memcpy(to, &rounded, sizeof rounded);
  }
#else
  using Pairs = Words;
  static CHUNKKV_INLINE Pairs load(const char* from) {
    Pairs x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  static CHUNKKV_INLINE Pairs all(const char* pair) {
    std::uint32_t bits;
    std::memcpy(&bits, pair, sizeof bits);
    return Pairs{} + bits;
  }
  static CHUNKKV_INLINE Sums fused(const Pairs& a, const Pairs& b, const Sums& c) {
    return add_products(a, b, c);
  }
  static CHUNKKV_INLINE void round(F x, char* to) {
    const Words rounded = rounded_to_bf16(x);
    for (int i = 0; i < 16; ++i) {
      const auto half = std::uint16_t(rounded[i]);
      std::memcpy(to + 2 * i, &half, sizeof half);
    }
  }
#endif

  template <bool Add>
  static CHUNKKV_INLINE Sums start(const float* from) {
    if constexpr (Add) return V::load(from);
    return F{};
  }
  template <bool Add>
  static CHUNKKV_INLINE void finish(Sums sums, float* to) {
    V::store(to, sums);
  }

  static CHUNKKV_INLINE void round_pairs(F a, F b, char* to) {
    const Words pairs = bf16_pairs(a, b);
    std::memcpy(to, &pairs, sizeof pairs);
  }
  /// Cuts weights off after 16 bits and adds the rest to `sum`.
  static CHUNKKV_INLINE void store_weights(F a, F b, char* to, F& sum) {
    store_cut_off(a, b, to, sum);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
