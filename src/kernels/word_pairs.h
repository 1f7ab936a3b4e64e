#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Numbers of 16 bits for `IntegerKeys`, two to a lane: by AVX-512 or AVX2 in sources compiled for it,
/// elsewhere in plain C++.
template <int Width>
struct WordPairs {
  using V = Vectors<Width>;
  using F = typename V::F;
  using I = typename V::I;
  using Number = short;
  static constexpr float kGreatest = 32767;
  static constexpr int kOffset = 0;
  static constexpr std::int32_t kOffsets = 0;

  /// What a key's numbers are multiples of: the same for all, with which no sum overflows, since keys are no
  /// longer than 1. NaN if a number is NaN.
  static float unit_of(const float* key, std::int64_t depth) {
    F zeros{};
    for (std::int64_t d = 0; d < depth; d += Width) zeros += V::load(key + d) * V::all(0.0f);
    float units[Width];
    V::store(units, zeros);
    float sum = 1.0f / 32767;
    for (const float zero : units) sum += zero;
    return sum;
  }

  /// Adds the products of two vectors' numbers to `sum`, by lane.
  static CHUNKKV_INLINE I add_products(I a, I b, I sum) {
#if defined(__AVX512BW__)
    if constexpr (Width == 16) return sum + (I)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#endif
#if defined(__AVX2__)
    if constexpr (Width == 8) return sum + (I)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#endif
    return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
