#pragma once

#include "kernels/byte_quants.h"
#include "kernels/transpose_avx2.h"

#include <immintrin.h>

// What reading quantised weights is made of. Without external linkage: each source keeps its own copy, so
// that none compiled for one processor is run on another.
namespace chunkkv::kernels {
namespace {

constexpr int kNRows = int(kQuantRows);
using Byte = std::uint8_t;
using To = ByteQuants::Target;

inline float half_at(const Byte* from) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return _cvtsh_ss(bits);
}
inline __m256 halves_at(const Byte* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
}
inline std::uint32_t word_at(const Byte* from) {
  std::uint32_t word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

/// The plain block of row `r`.
inline const Byte* block_of(const char* block, std::size_t row, int r) {
  return (const Byte*)block + row * std::size_t(r);
}

inline __m128i load16(const Byte* from) {
  return _mm_loadu_si128((const __m128i*)from);
}
inline __m256i load32(const Byte* from) {
  return _mm256_loadu_si256((const __m256i*)from);
}
inline __m256i all(int byte) {
  return _mm256_set1_epi8((char)byte);
}

/// The first eight bytes.
inline __m256 floats_of(__m128i bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

/// Numbers of 4 bits: the lower or the upper halves of 32 bytes, or of 16 bytes first the lower and then the
/// upper halves.
inline __m256i lower(__m256i bytes) {
  return _mm256_and_si256(bytes, all(15));
}
inline __m256i upper(__m256i bytes) {
  return lower(_mm256_srli_epi16(bytes, 4));
}
inline __m256i split(__m128i bytes) {
  return lower(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes));
}

/// What a type's numbers of 4 bits stand for, with an offset that makes it positive.
struct Codes {
  __m256i all;

  Codes(std::int64_t first, std::int64_t second) : all(_mm256_setr_epi64x(first, second, first, second)) {}
  __m256i operator()(__m256i numbers) const { return _mm256_shuffle_epi8(all, numbers); }
};
/// -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113, plus 128.
inline Codes codes_iq4() {
  return {0x766a5d4f3f2d1801, std::int64_t(0xf1d9c5b5a6998d81u)};
}
/// Twice 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, plus 12.
inline Codes codes_mxfp4() {
  return {0x181412100f0e0d0c, 0x00040608090a0b0c};
}

/// `bit` in the byte j where bit j of the 32 in `bits` is set.
inline __m256i spread_bits(std::uint32_t bits, int bit) {
  const __m256i byte_of =
      _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of = _mm256_set1_epi64x(std::int64_t(0x8040201008040201u));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(int(bits)), byte_of);
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of), all(bit));
}

inline void store_quad(const To& to, int quad, __m256i rows) {
  _mm256_storeu_si256((__m256i*)(to.numbers + to.quad_bytes * std::size_t(quad)), rows);
}
/// Stores 32 depths from `depth` on of each row r: numbers_of(r).
template <class Numbers>
inline void store_run(const To& to, int depth, const Numbers& numbers_of) {
  __m256i rows[kNRows];
  for (int r = 0; r < kNRows; ++r) rows[r] = numbers_of(r);
  transpose(rows);
  for (int i = 0; i < 8; ++i) store_quad(to, depth / 4 + i, rows[i]);
}
/// Stores 8 depths from `depth` on of each row, which lie one row after the other in two vectors.
inline void store_pieces(const To& to, int depth, __m256i first, __m256i second) {
  const __m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);
  const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
  const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
  store_quad(to, depth / 4, _mm256_permute4x64_epi64(even, 0xd8));
  store_quad(to, depth / 4 + 1, _mm256_permute4x64_epi64(odd, 0xd8));
}

inline float* scales_of(const To& to, int part) {
  return to.scales + to.part_step * std::size_t(part);
}
inline float* mins_of(const To& to, int part) {
  return to.mins + to.part_step * std::size_t(part);
}
/// Stores one number for each of 8 parts from `part` on of each row.
inline void store_parts(float* to, std::size_t part_step, const __m256 (&rows)[kNRows]) {
  __m256i words[kNRows];
  for (int r = 0; r < kNRows; ++r) words[r] = _mm256_castps_si256(rows[r]);
  transpose(words);
  for (int p = 0; p < 8; ++p)
    _mm256_storeu_ps(to + part_step * std::size_t(p), _mm256_castsi256_ps(words[p]));
}

/// Bits 2i and 2i + 1 of each byte.
inline __m256i two_bits(__m256i bytes, int i) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, 2 * i), all(3));
}

/// Eight scales and eight mins of 6 bits each in 12 bytes: four scales and four mins in bytes of their own,
/// whose upper two bits belong to the other ones.
struct SixBits {
  __m256 scales, mins;

  explicit SixBits(const Byte* from) {
    const std::uint32_t a = word_at(from), b = word_at(from + 4), c = word_at(from + 8);
    scales = numbers(a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4);
    mins = numbers(b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4);
  }

 private:
  static __m256 numbers(std::uint32_t first, std::uint32_t second) {
    return floats_of(_mm_cvtsi64_si128(std::int64_t(std::uint64_t(second) << 32 | first)));
  }
};

/// Half of the power of two whose exponent is `byte`, as MXFP4 has it.
inline float half_power(Byte byte) {
  const std::uint32_t bits = byte < 2 ? 0x00200000u << byte : std::uint32_t(byte - 1) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power;
}

}  // namespace
}  // namespace chunkkv::kernels
