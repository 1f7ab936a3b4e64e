// Compiled for AVX2, FMA and F16C, and run only on processors that have them. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/quant_rows_avx2.h"

// The formats are GGUF's: blocks of 32 weights, factors first, or blocks of 256 weights in parts.
namespace chunkkv::kernels {
namespace {

/// Stores the eight runs of 32 depths of a block of 256: run(r, i) are the numbers of run i of row r.
template <class Run>
void store_runs(const To& to, const Run& run) {
  for (int i = 0; i < 8; ++i) store_run(to, 32 * i, [&](int r) { return run(r, i); });
}

/// Reads blocks of 32 weights: a factor, with `Min` a second one that is added, with `Five` the fifth bits,
/// and then the numbers.
template <bool Min, bool Five>
void read_small(const char* block, std::size_t row, const To& to) {
  store_run(to, 0, [&](int r) {
    const Byte* from = block_of(block, row, r);
    to.scales[r] = half_at(from);
    if (Min) to.mins[r] = -half_at(from + 2);
    from += Min ? 4 : 2;
    const __m256i low = split(load16(from + (Five ? 4 : 0)));
    return Five ? _mm256_or_si256(low, spread_bits(word_at(from), 16)) : low;
  });
}

/// Reads blocks of 32 weights: a factor and signed numbers, which get an offset that makes them positive.
void read_q8_0(const char* block, std::size_t row, const To& to) {
  store_run(to, 0, [&](int r) {
    const Byte* from = block_of(block, row, r);
    to.scales[r] = half_at(from);
    return _mm256_xor_si256(load32(from + 2), all(128));
  });
}

/// Reads blocks of two factors, scales, with `Five` 32 bytes of fifth bits (bit p of byte j belongs to depth
/// j of part p), and numbers, which share bytes between two parts.
template <bool Five>
void read_parts(const char* block, std::size_t row, const To& to) {
  __m256 scales[kNRows], mins[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = block_of(block, row, r);
    const SixBits six(from + 4);
    scales[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from)), six.scales);
    mins[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from + 2)), six.mins);
  }
  store_parts(to.scales, to.part_step, scales);
  store_parts(to.mins, to.part_step, mins);
  store_runs(to, [&](int r, int p) {
    const Byte* from = block_of(block, row, r);
    const __m256i bytes = load32(from + (Five ? 48 : 16) + p / 2 * 32);
    const __m256i low = p % 2 == 0 ? lower(bytes) : upper(bytes);
    if (!Five) return low;
    const __m256i fifth = _mm256_and_si256(_mm256_srli_epi16(load32(from + 16), p), all(1));
    return _mm256_or_si256(low, _mm256_slli_epi16(fifth, 4));
  });
}

/// 16 signed bytes, times `factor`, as one number for each part of a row: the first eight and the last.
struct RowScales {
  __m256 first, last;

  RowScales(__m256 factor, __m128i bytes)
      : first(_mm256_mul_ps(factor, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)))),
        last(_mm256_mul_ps(factor,
                           _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes))))) {}
};
/// The same for 8 rows, stored part by part.
struct AllScales {
  __m256 first[kNRows], last[kNRows];

  void set(int row, const RowScales& scales) {
    first[row] = scales.first;
    last[row] = scales.last;
  }
  void store(float* to, std::size_t part_step) const {
    store_parts(to, part_step, first);
    store_parts(to + 8 * part_step, part_step, last);
  }
};

/// Reads blocks of 16 bytes of scales, in their lower halves, and mins, 64 bytes of numbers, and two factors.
/// A half of 128 depths has four runs of 32, each with two bits of the same 32 bytes.
void read_q2_k(const char* block, std::size_t row, const To& to) {
  const auto from = [&](int r) { return block_of(block, row, r); };
  AllScales scales, mins;
  for (int r = 0; r < kNRows; ++r) {
    const __m128i both = load16(from(r)), low = _mm_set1_epi8(15);
    scales.set(r, {_mm256_set1_ps(half_at(from(r) + 80)), _mm_and_si128(both, low)});
    mins.set(r, {_mm256_set1_ps(half_at(from(r) + 82)), _mm_and_si128(_mm_srli_epi16(both, 4), low)});
  }
  scales.store(to.scales, to.part_step);
  mins.store(to.mins, to.part_step);
  store_runs(to, [&](int r, int i) { return two_bits(load32(from(r) + 16 + i / 4 * 32), i % 4); });
}

/// Reads blocks of 32 bytes of third bits (bit i belongs to run i), 64 bytes of lower bits as those of Q2_K,
/// 12 bytes with 16 scales of 6 bits, and a factor. The scales' lower four bits are the halves of 8 bytes;
/// four bytes have the upper two bits of four scales each, the first four in their lowest bits.
void read_q3_k(const char* block, std::size_t row, const To& to) {
  const auto from = [&](int r) { return block_of(block, row, r); };
  AllScales scales;
  for (int r = 0; r < kNRows; ++r) {
    const Byte* bytes = from(r) + 96;
    const __m128i low = _mm_loadl_epi64((const __m128i*)bytes);
    const __m128i four = _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    const int upper_bits = int(word_at(bytes + 8));
    const __m128i shifted = _mm_srlv_epi32(_mm_set1_epi32(upper_bits), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i two = _mm_slli_epi16(_mm_and_si128(shifted, _mm_set1_epi8(3)), 4);
    const __m128i six = _mm_sub_epi8(_mm_or_si128(four, two), _mm_set1_epi8(32));
    scales.set(r, {_mm256_set1_ps(half_at(from(r) + 108)), six});
  }
  scales.store(to.scales, to.part_step);
  store_runs(to, [&](int r, int i) {
    const __m256i third = _mm256_and_si256(_mm256_srli_epi16(load32(from(r)), i), all(1));
    return _mm256_or_si256(two_bits(load32(from(r) + 32 + i / 4 * 32), i % 4), _mm256_slli_epi16(third, 2));
  });
}

/// Reads blocks of 128 bytes of lower bits, 64 of upper bits, 16 signed scales and a factor. Each half, 128
/// depths, has four runs of 32. The first two have the lower and the last two the upper 4 bits of the same 64
/// bytes; each of the four has two bits of the same 32 bytes of upper bits.
void read_q6_k(const char* block, std::size_t row, const To& to) {
  const auto from = [&](int r) { return block_of(block, row, r); };
  AllScales scales;
  for (int r = 0; r < kNRows; ++r)
    scales.set(r, {_mm256_set1_ps(half_at(from(r) + 208)), load16(from(r) + 192)});
  scales.store(to.scales, to.part_step);
  store_runs(to, [&](int r, int i) {
    const __m256i low = load32(from(r) + i / 4 * 64 + i % 2 * 32);
    const __m256i high = _mm256_slli_epi16(two_bits(load32(from(r) + 128 + i / 4 * 32), i % 4), 4);
    return _mm256_or_si256(i % 4 < 2 ? lower(low) : upper(low), high);
  });
}

void read_iq4_nl(const char* block, std::size_t row, const To& to) {
  store_run(to, 0, [&, codes = codes_iq4()](int r) {
    const Byte* from = block_of(block, row, r);
    to.scales[r] = half_at(from);
    return codes(split(load16(from + 2)));
  });
}

void read_mxfp4(const char* block, std::size_t row, const To& to) {
  store_run(to, 0, [&, codes = codes_mxfp4()](int r) {
    const Byte* from = block_of(block, row, r);
    to.scales[r] = half_power(*from);
    return codes(split(load16(from + 1)));
  });
}

/// Reads blocks of a factor, 2 bytes with two upper bits of each scale, 4 with the lower 4 bits, and numbers.
void read_iq4_xs(const char* block, std::size_t row, const To& to) {
  store_runs(to, [&, codes = codes_iq4()](int r, int p) {
    const Byte* from = block_of(block, row, r);
    const int upper_bits = (from[2] | from[3] << 8) >> 2 * p & 3;
    const int lower_bits = from[4 + p / 2] >> p % 2 * 4 & 15;
    scales_of(to, p)[r] = half_at(from) * float((upper_bits << 4 | lower_bits) - 32);
    return codes(split(load16(from + 8 + 16 * p)));
  });
}

}  // namespace

const ByteQuants kQuantsQ40 = {32, 18, 32, 8, 8, false, read_small<false, false>};
const ByteQuants kQuantsQ41 = {32, 20, 32, 8, 0, false, read_small<true, false>};
const ByteQuants kQuantsQ50 = {32, 22, 32, 4, 16, false, read_small<false, true>};
const ByteQuants kQuantsQ51 = {32, 24, 32, 4, 0, false, read_small<true, true>};
const ByteQuants kQuantsQ80 = {32, 34, 32, 0, 128, false, read_q8_0};
const ByteQuants kQuantsQ2K = {256, 84, 16, 2, 0, false, read_q2_k};
const ByteQuants kQuantsQ3K = {256, 110, 16, 2, 4, false, read_q3_k};
const ByteQuants kQuantsQ4K = {256, 144, 32, 8, 0, false, read_parts<false>};
const ByteQuants kQuantsQ5K = {256, 176, 32, 4, 0, false, read_parts<true>};
const ByteQuants kQuantsQ6K = {256, 210, 16, 2, 32, false, read_q6_k};
const ByteQuants kQuantsIq4Nl = {32, 18, 32, 0, 128, false, read_iq4_nl};
const ByteQuants kQuantsIq4Xs = {256, 136, 32, 0, 128, false, read_iq4_xs};
const ByteQuants kQuantsMxfp4 = {32, 17, 32, 4, 12, false, read_mxfp4};

}  // namespace chunkkv::kernels
