// Compiled for AVX-512 with FP16, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_pairs.h"
#include "kernels/attention_shape.h"
#include "kernels/kernel_set.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

struct Halves : HalfPairRules {
  using F = Vectors<16>::F;
  using Pairs = __m512h;
  using Sums = __m512h;
  static constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

  static CHUNKKV_INLINE Pairs load(const char* from) { return (Pairs)_mm512_loadu_si512(from); }
  static CHUNKKV_INLINE Pairs all(const char* pair) {
    int bits;
    std::memcpy(&bits, pair, sizeof bits);
    return (Pairs)_mm512_set1_epi32(bits);
  }
  static CHUNKKV_INLINE Sums fused(Pairs a, Pairs b, Sums c) { return _mm512_fmadd_ph(a, b, c); }

  static CHUNKKV_INLINE Sums zero() { return _mm512_setzero_ph(); }
  template <bool Add>
  static CHUNKKV_INLINE Sums start(const float*) {
    return zero();
  }
  template <bool Add>
  static CHUNKKV_INLINE void finish(Sums sums, float* to) {
    F x = sum_of_pairs(sums);
    if constexpr (Add) x += Vectors<16>::load(to);
    Vectors<16>::store(to, x);
  }

  static CHUNKKV_INLINE F sum_of_pairs(Sums x) {
    const __m512i bits = (__m512i)x;
    const __m512 even = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits));
    const __m512 odd = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    return (F)_mm512_add_ps(even, odd);
  }
  /// The sum of the upper and the lower half, in single precision: pairs stay pairs.
  static CHUNKKV_INLINE F sum_of_halves(Sums x) {
    const __m512i bits = (__m512i)x;
    return (F)_mm512_add_ps(_mm512_cvtph_ps(_mm512_castsi512_si256(bits)),
                            _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1)));
  }
  static CHUNKKV_INLINE void round(F x, char* to) {
    _mm256_storeu_si256((__m256i*)to, _mm512_cvtps_ph((__m512)x, kNearest));
  }
  static CHUNKKV_INLINE void round_pairs(F a, F b, char* to) {
    F unused{};
    store_weights(a, b, to, unused);
  }
  static CHUNKKV_INLINE void store_weights(F a, F b, char* to, F& sum) {
    const __m256i first = _mm512_cvtps_ph((__m512)a, kNearest), second = _mm512_cvtps_ph((__m512)b, kNearest);
    sum += (F)_mm512_add_ps(_mm512_cvtph_ps(first), _mm512_cvtph_ps(second));
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16)));
  }
};

}  // namespace

KernelSet kernels_avx512fp16() {
  return {.attention = attention_kernel<PairPrecision<Halves>>("AVX512-FP16")};
}

}  // namespace chunkkv::kernels
