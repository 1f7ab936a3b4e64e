#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Numbers of 8 bits for `IntegerKeys`, four to a lane: by AVX512-VNNI or AVX-VNNI in sources compiled for
/// it, elsewhere in plain C++. The processor multiplies numbers without sign by such with one: those of lanes
/// have kOffset added.
template <int Width>
struct ByteQuads {
  using V = Vectors<Width>;
  using I = typename V::I;
  using Number = signed char;
  static constexpr float kGreatest = 127;
  static constexpr int kOffset = 128;
  static constexpr std::int32_t kOffsets = std::int32_t(0x80808080);  // what adds it to all four of a lane

  /// What a key's numbers are multiples of: the greatest becomes 127. NaN if one is NaN.
  static float unit_of(const float* key, std::int64_t depth) {
    I most{};
    for (std::int64_t d = 0; d < depth; d += Width)  // bits without sign are ordered like the numbers
      most = V::maximum((I)V::load(key + d) & 0x7fffffff, most);
    std::int32_t bits = 0;
    for (int i = 0; i < Width; ++i) bits = most[i] > bits ? most[i] : bits;
    float greatest;
    std::memcpy(&greatest, &bits, sizeof greatest);
    return greatest / 127;
  }

  /// Adds the products of two vectors' numbers to `sum`, by lane.
  static CHUNKKV_INLINE I add_products(I with_offset, I x, I sum) {
#if defined(__AVX512VNNI__)
    if constexpr (Width == 16) return (I)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)with_offset, (__m512i)x);
#endif
#if defined(__AVXVNNI__)
    if constexpr (Width == 8)
      return (I)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)with_offset, (__m256i)x);
#endif
    for (int bit = 0; bit < 32; bit += 8) sum += (with_offset >> bit & 0xff) * (x << (24 - bit) >> 24);
    return sum;
  }
};

}  // namespace
}  // namespace chunkkv::kernels
