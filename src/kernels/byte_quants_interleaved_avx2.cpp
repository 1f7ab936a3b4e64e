// Compiled for AVX2, FMA and F16C, and run only on processors that have them. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/quant_rows_avx2.h"

// The engine's layout of 8 rows: a block joins a plain block of each row, their factors, and then their
// numbers, 8 bytes of each row in turn.
namespace chunkkv::kernels {
namespace {

/// Reads an interleaved block of 32 weights: the scales are there; the numbers follow at `from`. `Decode`
/// makes numbers of 4 bits what they stand for.
template <class Decode>
void read_pieces(const Byte* from, const To& to, Decode decode) {
  for (int i = 0; i < 2; ++i) {
    const __m256i first = load32(from + 64 * i), second = load32(from + 64 * i + 32);
    store_pieces(to, 8 * i, decode(lower(first)), decode(lower(second)));
    store_pieces(to, 16 + 8 * i, decode(upper(first)), decode(upper(second)));
  }
}

/// Reads an interleaved block of Q4_0; the highest bit of each number is flipped.
void read_q4_0_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  _mm256_storeu_ps(to.scales, halves_at(from));
  read_pieces(from + 2 * kNRows, to, [](__m256i numbers) { return _mm256_xor_si256(numbers, all(8)); });
}

/// Reads an interleaved block of Q4_K: after the factors, 12 bytes for each part with the scales and mins of
/// the 8 rows.
void read_q4_k_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  const __m256 d = halves_at(from), d_min = halves_at(from + 2 * kNRows);
  for (int p = 0; p < 8; ++p) {
    const SixBits six(from + 4 * kNRows + 12 * p);
    _mm256_storeu_ps(scales_of(to, p), _mm256_mul_ps(d, six.scales));
    _mm256_storeu_ps(mins_of(to, p), _mm256_mul_ps(d_min, six.mins));
  }
  from += 4 * kNRows + 12 * 8;
  for (int p = 0; p < 8; p += 2)
    for (int i = 0; i < 4; ++i, from += 64) {
      const __m256i first = load32(from), second = load32(from + 32);
      store_pieces(to, 32 * p + 8 * i, lower(first), lower(second));
      store_pieces(to, 32 * (p + 1) + 8 * i, upper(first), upper(second));
    }
}

/// Reads an interleaved block of Q2_K: after the factors, 16 bytes for each two parts, two of each row, with
/// scales in their lower halves and mins in the upper ones.
void read_q2_k_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  const __m256 d = halves_at(from), d_min = halves_at(from + 2 * kNRows);
  const __m128i by_part = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  from += 4 * kNRows;
  for (int p = 0; p < 16; p += 2, from += 16) {
    const __m256i halves = split(_mm_shuffle_epi8(load16(from), by_part));
    const __m128i scales = _mm256_castsi256_si128(halves), mins = _mm256_extracti128_si256(halves, 1);
    _mm256_storeu_ps(scales_of(to, p), _mm256_mul_ps(d, floats_of(scales)));
    _mm256_storeu_ps(scales_of(to, p + 1), _mm256_mul_ps(d, floats_of(_mm_unpackhi_epi64(scales, scales))));
    _mm256_storeu_ps(mins_of(to, p), _mm256_mul_ps(d_min, floats_of(mins)));
    _mm256_storeu_ps(mins_of(to, p + 1), _mm256_mul_ps(d_min, floats_of(_mm_unpackhi_epi64(mins, mins))));
  }
  for (int half = 0; half < 2; ++half)
    for (int piece = 0; piece < 4; ++piece, from += 64)
      for (int i = 0; i < 4; ++i)
        store_pieces(to, 128 * half + 32 * i + 8 * piece, two_bits(load32(from), i),
                     two_bits(load32(from + 32), i));
}

void read_iq4_nl_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  _mm256_storeu_ps(to.scales, halves_at(from));
  read_pieces(from + 2 * kNRows, to, codes_iq4());
}

void read_mxfp4_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  for (int r = 0; r < kNRows; ++r) to.scales[r] = half_power(from[r]);
  read_pieces(from + kNRows, to, codes_mxfp4());
}

}  // namespace

const ByteQuants kQuantsQ40Interleaved = {32, 18, 32, 8, 8, true, read_q4_0_interleaved};
const ByteQuants kQuantsQ2KInterleaved = {256, 84, 16, 2, 0, true, read_q2_k_interleaved};
const ByteQuants kQuantsQ4KInterleaved = {256, 144, 32, 8, 0, true, read_q4_k_interleaved};
const ByteQuants kQuantsIq4NlInterleaved = {32, 18, 32, 0, 128, true, read_iq4_nl_interleaved};
const ByteQuants kQuantsMxfp4Interleaved = {32, 17, 32, 4, 12, true, read_mxfp4_interleaved};

}  // namespace chunkkv::kernels
