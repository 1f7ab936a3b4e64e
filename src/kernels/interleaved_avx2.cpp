// Compiled for AVX2, FMA and F16C, and run only on processors that have them. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/layouts.h"

#include <immintrin.h>

// A block joins one plain block of each of 8 rows: first their factors, one row after the other, and then
// their numbers, 8 bytes of each row in turn.
namespace chunkkv::kernels {
namespace {

constexpr int kNRows = 8;
constexpr int kPiece = 8;

/// Reads types with 32 weights a block: `Factor` bytes of scale and 16 bytes of numbers. With `Flipped` the
/// highest bit of each number is flipped.
template <int Factor, bool Flipped>
void read_small(const char* block, ToFloat plain, float* to, std::int64_t row) {
  for (int r = 0; r < kNRows; ++r) {
    alignas(4) char one[Factor + 16];
    __builtin_memcpy(one, block + Factor * r, Factor);
    for (int p = 0; p < 2; ++p) {
      std::uint64_t numbers;
      __builtin_memcpy(&numbers, block + Factor * kNRows + (p * kNRows + r) * kPiece, kPiece);
      if (Flipped) numbers ^= 0x8888888888888888u;
      __builtin_memcpy(one + Factor + p * kPiece, &numbers, kPiece);
    }
    plain(one, to + row * r, 32);
  }
}

/// Reads 256 weights a row: two F16 factors, 16 bytes of scales, two neighbouring parts of each row in turn,
/// and 64 bytes of numbers.
void read_q2_k(const char* block, ToFloat plain, float* to, std::int64_t row) {
  constexpr int n_scales = 16, n_numbers = 64;
  const char* scales = block + 4 * kNRows;
  const char* numbers = scales + n_scales * kNRows;
  for (int r = 0; r < kNRows; ++r) {
    alignas(4) char one[n_scales + n_numbers + 4];
    for (int i = 0; i < n_scales; i += 2) __builtin_memcpy(one + i, scales + i * kNRows + 2 * r, 2);
    for (int i = 0; i < n_numbers; i += kPiece)
      __builtin_memcpy(one + n_scales + i, numbers + i * kNRows + r * kPiece, kPiece);
    __builtin_memcpy(one + n_scales + n_numbers, block + 2 * r, 2);
    __builtin_memcpy(one + n_scales + n_numbers + 2, block + 2 * (kNRows + r), 2);
    plain(one, to + row * r, 256);
  }
}

/// Reads 256 weights a row in 8 parts, each scale * number - min. A part's 12 bytes hold the scales and
/// mins of 8 rows in 6 bits: rows 0 to 3 in bytes of their own, whose upper two bits belong to rows 4 to 7.
void read_q4_k(const char* block, ToFloat, float* to, std::int64_t row) {
  constexpr int n_parts = 8, part = 32, packed = 12;
  const unsigned char* scales = (const unsigned char*)block + 4 * kNRows;
  const char* numbers = block + 4 * kNRows + packed * n_parts;
  const __m256i low = _mm256_set1_epi32(15);
  const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)block));
  const __m256 d_min = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(block + 2 * kNRows)));
  alignas(32) float scale[n_parts][kNRows], min[n_parts][kNRows];
  for (int i = 0; i < n_parts; ++i) {
    const unsigned char* b = scales + packed * i;
    for (int r = 0; r < 4; ++r) {
      scale[i][r] = float(b[r] & 63);
      min[i][r] = float(b[4 + r] & 63);
      scale[i][4 + r] = float((b[8 + r] & 15) | (b[r] >> 6 << 4));
      min[i][4 + r] = float((b[8 + r] >> 4) | (b[4 + r] >> 6 << 4));
    }
    _mm256_store_ps(scale[i], _mm256_mul_ps(d, _mm256_load_ps(scale[i])));
    _mm256_store_ps(min[i], _mm256_mul_ps(d_min, _mm256_load_ps(min[i])));
  }
  for (int r = 0; r < kNRows; ++r)
    for (int i = 0; i < n_parts; i += 2) {  // i in the lower, i + 1 in the upper halves of 32 bytes
      const __m256 s0 = _mm256_set1_ps(scale[i][r]), m0 = _mm256_set1_ps(min[i][r]);
      const __m256 s1 = _mm256_set1_ps(scale[i + 1][r]), m1 = _mm256_set1_ps(min[i + 1][r]);
      float* out = to + row * r + part * i;
      for (int j = 0; j < part; j += kPiece) {
        const __m256i bytes = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64((const __m128i*)(numbers + (part / 2 * i + j) * kNRows + r * kPiece)));
        _mm256_storeu_ps(out + j, _mm256_fmsub_ps(s0, _mm256_cvtepi32_ps(_mm256_and_si256(bytes, low)), m0));
        _mm256_storeu_ps(out + part + j,
                         _mm256_fmsub_ps(s1, _mm256_cvtepi32_ps(_mm256_srli_epi32(bytes, 4)), m1));
      }
    }
}

}  // namespace

const BlockLayout kInterleavedQ40 = {kNRows, 32, 18 * kNRows, false, read_small<2, true>};
const BlockLayout kInterleavedIq4Nl = {kNRows, 32, 18 * kNRows, false, read_small<2, false>};
const BlockLayout kInterleavedMxfp4 = {kNRows, 32, 17 * kNRows, false, read_small<1, false>};
const BlockLayout kInterleavedQ2K = {kNRows, 256, 84 * kNRows, false, read_q2_k};
const BlockLayout kInterleavedQ4K = {kNRows, 256, 144 * kNRows, false, read_q4_k};

}  // namespace chunkkv::kernels
