#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

// Numbers in BF16, the upper halves of single precision. Vectors of 16 are the compiler's own: any processor
// can do them.
#pragma GCC diagnostic ignored "-Wpsabi"  // such vectors are never passed between sources

// Without external linkage: each source keeps its own copy, so that none compiled for one processor is
// run on another.
namespace chunkkv::kernels {
namespace {

using Floats = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));

/// Numbers rounded to BF16 as the processor does: to nearest, ties to even, denormal numbers to zero.
inline __attribute__((always_inline)) Words rounded_to_bf16(const Floats& x) {
  const Words bits = (Words)x, magnitude = bits & 0x7fffffffu;
  const Words nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words nan = (Words)(magnitude > 0x7f800000u), tiny = (Words)(magnitude < 0x00800000u);
  const Words other = (nan & ((bits >> 16) | 0x40u)) | (tiny & (bits >> 31 << 15));
  return (nearest & ~(nan | tiny)) | other;
}

/// Pairs in BF16, as tiles hold them: lane i has even[i] in its lower and odd[i] in its upper half.
inline __attribute__((always_inline)) Words bf16_pairs(const Floats& even, const Floats& odd) {
#ifdef __AVX512BF16__
  static const struct alignas(64) Order {
    std::uint16_t at[32];
  } order = {{0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
              8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}};
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  return (Words)_mm512_permutexvar_epi16(_mm512_load_si512(order.at), halves);
#else
  return rounded_to_bf16(even) | rounded_to_bf16(odd) << 16;
#endif
}

/// Stores the weights of two cells as pairs, cut off after 16 bits, and adds what is stored to `sum`.
inline __attribute__((always_inline)) void store_cut_off(const Floats& a, const Floats& b, char* to,
                                                         Floats& sum) {
  const Words pairs = ((Words)a >> 16) | ((Words)b & 0xffff0000u);
  std::memcpy(to, &pairs, sizeof pairs);
#ifdef __AVX512BF16__
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);
  sum = (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)pairs, (__m512bh)ones);
#else
  sum = (sum + (Floats)(pairs & 0xffff0000u)) + (Floats)(pairs << 16);
#endif
}

/// Denormal numbers count as zero.
inline __attribute__((always_inline)) Floats flushed(const Floats& x) {
  const Words normal = (Words)(((Words)x & 0x7fffffffu) >= 0x00800000u);
  return (Floats)((Words)x & (normal | 0x80000000u));
}

/// sum + the product of the numbers in the upper halves of `a` and `b`, rounded once. In double precision
/// such products are exact, and their sums never lie so near to the middle of two floats that they round
/// otherwise.
inline __attribute__((always_inline)) Floats add_product(const Words& a, const Words& b, const Floats& sum) {
  using Doubles = double __attribute__((vector_size(128)));
  const auto wide = [](const Floats& x) __attribute__((always_inline)) {
    return __builtin_convertvector(x, Doubles);
  };
  const Floats x = flushed((Floats)(a & 0xffff0000u)), y = flushed((Floats)(b & 0xffff0000u));
  return flushed(__builtin_convertvector(wide(x) * wide(y) + wide(sum), Floats));
}

/// sum + both products of pairs, as AVX512-BF16 computes them (Intel's Software Developer's Manual,
/// VDPBF16PS).
inline __attribute__((always_inline)) Floats add_products(const Words& a, const Words& b, const Floats& sum) {
  return add_product(a << 16, b << 16, add_product(a, b, flushed(sum)));
}

}  // namespace
}  // namespace chunkkv::kernels
