// Compiled for AVX-512 with FP16, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_f16.h"
#include "kernels/attention_shape.h"
#include "kernels/kernel_set.h"

#include <immintrin.h>

namespace chunkkv::kernels {
namespace {

struct Halves {
  using F = Vectors<16>::F;
  using Pairs = __m512h;
  static constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

  static CHUNKKV_INLINE Pairs zero() { return _mm512_setzero_ph(); }
  static CHUNKKV_INLINE Pairs load(const char* from) { return (Pairs)_mm512_loadu_si512(from); }
  static CHUNKKV_INLINE Pairs all(const char* pair) {
    int bits;
    std::memcpy(&bits, pair, sizeof bits);
    return (Pairs)_mm512_set1_epi32(bits);
  }
  static CHUNKKV_INLINE Pairs fused(Pairs a, Pairs b, Pairs c) { return _mm512_fmadd_ph(a, b, c); }

  static CHUNKKV_INLINE F sum_of_pairs(Pairs x) {
    const __m512i bits = (__m512i)x;
    const __m512 even = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits));
    const __m512 odd = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    return (F)_mm512_add_ps(even, odd);
  }
  static CHUNKKV_INLINE void to_half(F x, char* to) {
    _mm256_storeu_si256((__m256i*)to, _mm512_cvtps_ph((__m512)x, kNearest));
  }
  static CHUNKKV_INLINE void to_pairs(F a, F b, char* to, F& sum) {
    const __m256i first = _mm512_cvtps_ph((__m512)a, kNearest), second = _mm512_cvtps_ph((__m512)b, kNearest);
    sum += (F)_mm512_add_ps(_mm512_cvtph_ps(first), _mm512_cvtph_ps(second));
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16)));
  }
};

}  // namespace

KernelSet kernels_avx512fp16() {
  return {.attention = attention_kernel<HalfPrecision<Halves>>("AVX512-FP16")};
}

}  // namespace chunkkv::kernels
