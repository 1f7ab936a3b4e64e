// Compiled for AVX2, FMA and F16C, and run only on processors that have them. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/byte_quants.h"

#include <immintrin.h>

// The formats are GGUF's: blocks of 32 weights, F16 factors first, or blocks of 256 weights in parts.
namespace chunkkv::kernels {
namespace {

constexpr int kNRows = 8;
using Byte = std::uint8_t;

float half_at(const Byte* from) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return _cvtsh_ss(bits);
}

/// Unpacks numbers of 4 bits: first the lower halves of `n` bytes, then the upper halves.
void split(const Byte* from, int n, Byte* to) {
  for (int j = 0; j < n; ++j) {
    to[j] = Byte(from[j] & 15);
    to[n + j] = Byte(from[j] >> 4);
  }
}

/// Adds bit j of the 32 in `bits` as the fifth bit of number j.
void add_fifth_bits(const Byte* bits, Byte* to) {
  std::uint32_t all;
  __builtin_memcpy(&all, bits, sizeof all);
  const __m256i byte_of =
      _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of = _mm256_set1_epi64x(std::int64_t(0x8040201008040201u));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(int(all)), byte_of);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of);
  const __m256i fifth = _mm256_and_si256(set, _mm256_set1_epi8(16));
  _mm256_storeu_si256((__m256i*)to, _mm256_or_si256(_mm256_loadu_si256((const __m256i*)to), fifth));
}

/// Reads blocks of 32 weights: a factor, with `Min` a second one that is added, with `Five` the fifth bits,
/// and then the numbers.
template <bool Min, bool Five>
void read_small(const char* block, std::size_t row, Byte* numbers, float* scales, float* mins) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    Byte* to = numbers + kMostQuantDepth * r;
    scales[r] = half_at(from);
    if (Min) mins[r] = -half_at(from + 2);
    from += Min ? 4 : 2;
    split(from + (Five ? 4 : 0), 16, to);
    if (Five) add_fifth_bits(from, to);
  }
}

/// Reads blocks of 32 weights: a factor and signed numbers, which get an offset that makes them positive.
void read_q8_0(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    scales[r] = half_at(from);
    for (int j = 0; j < 32; ++j) numbers[kMostQuantDepth * r + j] = Byte(from[2 + j] ^ 128);
  }
}

/// Reads the 8 scales and mins of row `r`, which have 6 bits each in 12 bytes.
void read_scales(const Byte* b, float d, float d_min, int r, float* scales, float* mins) {
  for (int p = 0; p < 8; ++p) {
    const int scale = p < 4 ? b[p] & 63 : (b[p + 4] & 15) | b[p - 4] >> 6 << 4;
    const int min = p < 4 ? b[p + 4] & 63 : b[p + 4] >> 4 | b[p] >> 6 << 4;
    scales[kNRows * p + r] = d * float(scale);
    mins[kNRows * p + r] = d_min * float(min);
  }
}

/// Reads blocks of two factors, scales, with `Five` 32 bytes of fifth bits (bit p of byte j belongs to depth
/// j of part p), and numbers, which share bytes between two parts.
template <bool Five>
void read_parts(const char* block, std::size_t row, Byte* numbers, float* scales, float* mins) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    read_scales(from + 4, half_at(from), half_at(from + 2), r, scales, mins);
    const Byte* fifth = from + 16;
    const Byte* low = from + (Five ? 48 : 16);
    for (int p = 0; p < 8; p += 2) {
      Byte* to = numbers + kMostQuantDepth * r + 32 * p;
      split(low + 16 * p, 32, to);
      if (Five)
        for (int j = 0; j < 32; ++j) {
          to[j] = Byte(to[j] | (fifth[j] >> p & 1) << 4);
          to[32 + j] = Byte(to[32 + j] | (fifth[j] >> (p + 1) & 1) << 4);
        }
    }
  }
}

/// Reads blocks of 128 bytes of lower bits, 64 of upper bits, 16 signed scales and a factor. Each half, 128
/// depths, has four runs of 32. The first two have the lower and the last two the upper 4 bits of the same 64
/// bytes; each of the four has two bits of the same 32 bytes of upper bits.
void read_q6_k(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const float d = half_at(from + 208);
    for (int p = 0; p < 16; ++p) scales[kNRows * p + r] = d * float((signed char)from[192 + p]);
    for (int half = 0; half < 2; ++half) {
      const Byte* low = from + 64 * half;
      const Byte* high = from + 128 + 32 * half;
      Byte* to = numbers + kMostQuantDepth * r + 128 * half;
      for (int j = 0; j < 32; ++j) {
        to[j] = Byte((low[j] & 15) | (high[j] & 3) << 4);
        to[32 + j] = Byte((low[32 + j] & 15) | (high[j] >> 2 & 3) << 4);
        to[64 + j] = Byte(low[j] >> 4 | (high[j] >> 4 & 3) << 4);
        to[96 + j] = Byte(low[32 + j] >> 4 | high[j] >> 6 << 4);
      }
    }
  }
}

/// Reads a block of 8 rows: their factors, then their numbers, 8 bytes of each row in turn, with the highest
/// bit of each number flipped.
void read_q4_0_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float*) {
  const Byte* from = (const Byte*)block;
  for (int r = 0; r < kNRows; ++r) {
    scales[r] = half_at(from + 2 * r);
    Byte bytes[16];
    for (int j = 0; j < 16; ++j) bytes[j] = Byte(from[2 * kNRows + (j / 8 * kNRows + r) * 8 + j % 8] ^ 0x88);
    split(bytes, 16, numbers + kMostQuantDepth * r);
  }
}

/// Reads a block of 8 rows: their factors, then 12 bytes for each part with the scales and mins of the 8
/// rows, then their numbers, 8 bytes of each row in turn.
void read_q4_k_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float* mins) {
  const Byte* from = (const Byte*)block;
  for (int p = 0; p < 8; ++p) {
    const Byte* b = from + 4 * kNRows + 12 * p;
    for (int r = 0; r < kNRows; ++r) {
      const int scale = r < 4 ? b[r] & 63 : (b[r + 4] & 15) | b[r - 4] >> 6 << 4;
      const int min = r < 4 ? b[r + 4] & 63 : b[r + 4] >> 4 | b[r] >> 6 << 4;
      scales[kNRows * p + r] = half_at(from + 2 * r) * float(scale);
      mins[kNRows * p + r] = half_at(from + 2 * (kNRows + r)) * float(min);
    }
  }
  const Byte* pieces = from + 4 * kNRows + 12 * 8;
  for (int r = 0; r < kNRows; ++r)
    for (int p = 0; p < 8; p += 2) {
      Byte bytes[32];
      for (int j = 0; j < 32; j += 8) __builtin_memcpy(bytes + j, pieces + (16 * p + j) * kNRows + 8 * r, 8);
      split(bytes, 32, numbers + kMostQuantDepth * r + 32 * p);
    }
}

}  // namespace

const ByteQuants kQuantsQ40 = {32, 18, 32, 8, 8, false, read_small<false, false>};
const ByteQuants kQuantsQ41 = {32, 20, 32, 8, 0, false, read_small<true, false>};
const ByteQuants kQuantsQ50 = {32, 22, 32, 4, 16, false, read_small<false, true>};
const ByteQuants kQuantsQ51 = {32, 24, 32, 4, 0, false, read_small<true, true>};
const ByteQuants kQuantsQ80 = {32, 34, 32, 0, 128, false, read_q8_0};
const ByteQuants kQuantsQ4K = {256, 144, 32, 8, 0, false, read_parts<false>};
const ByteQuants kQuantsQ5K = {256, 176, 32, 4, 0, false, read_parts<true>};
const ByteQuants kQuantsQ6K = {256, 210, 16, 2, 32, false, read_q6_k};
const ByteQuants kQuantsQ40Interleaved = {32, 18, 32, 8, 8, true, read_q4_0_interleaved};
const ByteQuants kQuantsQ4KInterleaved = {256, 144, 32, 8, 0, true, read_q4_k_interleaved};

}  // namespace chunkkv::kernels
