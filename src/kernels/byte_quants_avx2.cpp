// Compiled for AVX2, FMA and F16C, and run only on processors that have them. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/byte_quants.h"
#include "kernels/transpose_avx2.h"

#include <immintrin.h>

// The formats are GGUF's: blocks of 32 weights, factors first, or blocks of 256 weights in parts. Interleaved
// blocks join a plain block of each of 8 rows: their factors, and then their numbers, 8 bytes of each row in
// turn.
namespace chunkkv::kernels {
namespace {

constexpr int kNRows = 8;
using Byte = std::uint8_t;

float half_at(const Byte* from) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return _cvtsh_ss(bits);
}
__m256 halves_at(const Byte* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
}
std::uint32_t word_at(const Byte* from) {
  std::uint32_t word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

__m128i load16(const Byte* from) {
  return _mm_loadu_si128((const __m128i*)from);
}
__m256i load32(const Byte* from) {
  return _mm256_loadu_si256((const __m256i*)from);
}
void store32(Byte* to, __m256i numbers) {
  _mm256_storeu_si256((__m256i*)to, numbers);
}
__m256i all(int byte) {
  return _mm256_set1_epi8((char)byte);
}

/// The two 8-byte pieces of a row, which are a piece of each row apart.
__m128i pieces(const Byte* from) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i*)from),
                            _mm_loadl_epi64((const __m128i*)(from + 8 * kNRows)));
}

/// Numbers of 4 bits: the lower or the upper halves of 32 bytes, or of 16 bytes first the lower and then the
/// upper halves.
__m256i lower(__m256i bytes) {
  return _mm256_and_si256(bytes, all(15));
}
__m256i upper(__m256i bytes) {
  return lower(_mm256_srli_epi16(bytes, 4));
}
__m256i split(__m128i bytes) {
  return lower(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes));
}

/// What a type's numbers of 4 bits stand for, with an offset that makes it positive.
struct Codes {
  __m256i all;

  Codes(std::int64_t first, std::int64_t second) : all(_mm256_setr_epi64x(first, second, first, second)) {}
  __m256i of(__m256i numbers) const { return _mm256_shuffle_epi8(all, numbers); }
};
/// -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113, plus 128.
Codes codes_iq4() {
  return {0x766a5d4f3f2d1801, std::int64_t(0xf1d9c5b5a6998d81u)};
}
/// Twice 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, plus 12.
Codes codes_mxfp4() {
  return {0x181412100f0e0d0c, 0x00040608090a0b0c};
}

/// `bit` in the byte j where bit j of the 32 in `bits` is set.
__m256i spread_bits(std::uint32_t bits, int bit) {
  const __m256i byte_of =
      _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of = _mm256_set1_epi64x(std::int64_t(0x8040201008040201u));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(int(bits)), byte_of);
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of), all(bit));
}

/// Writes [8 rows][8] numbers as [8][8 rows].
void store_transposed(const __m256 (&rows)[kNRows], float* to) {
  __m256i words[kNRows];
  for (int r = 0; r < kNRows; ++r) words[r] = _mm256_castps_si256(rows[r]);
  transpose(words);
  for (int r = 0; r < kNRows; ++r) _mm256_storeu_ps(to + kNRows * r, _mm256_castsi256_ps(words[r]));
}

/// Reads blocks of 32 weights: a factor, with `Min` a second one that is added, with `Five` the fifth bits,
/// and then the numbers.
template <bool Min, bool Five>
void read_small(const char* block, std::size_t row, Byte* numbers, float* scales, float* mins) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    scales[r] = half_at(from);
    if (Min) mins[r] = -half_at(from + 2);
    from += Min ? 4 : 2;
    __m256i whole = split(load16(from + (Five ? 4 : 0)));
    if (Five) whole = _mm256_or_si256(whole, spread_bits(word_at(from), 16));
    store32(numbers + kMostQuantDepth * r, whole);
  }
}

/// Reads blocks of 32 weights: a factor and signed numbers, which get an offset that makes them positive.
void read_q8_0(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    scales[r] = half_at(from);
    store32(numbers + kMostQuantDepth * r, _mm256_xor_si256(load32(from + 2), all(128)));
  }
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
    const __m128i bytes = _mm_cvtsi64_si128(std::int64_t(std::uint64_t(second) << 32 | first));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
  }
};

/// Reads blocks of two factors, scales, with `Five` 32 bytes of fifth bits (bit p of byte j belongs to depth
/// j of part p), and numbers, which share bytes between two parts.
template <bool Five>
void read_parts(const char* block, std::size_t row, Byte* numbers, float* scales, float* mins) {
  __m256 row_scales[kNRows], row_mins[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const SixBits six(from + 4);
    row_scales[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from)), six.scales);
    row_mins[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from + 2)), six.mins);
    __m256i fifth = Five ? load32(from + 16) : __m256i{};
    const auto add_fifth = [&](__m256i& whole) {
      if (!Five) return;
      whole = _mm256_or_si256(whole, _mm256_slli_epi16(_mm256_and_si256(fifth, all(1)), 4));
      fifth = _mm256_srli_epi16(fifth, 1);  // what comes from the next byte is never looked at
    };
    for (int p = 0; p < 8; p += 2) {
      const __m256i bytes = load32(from + (Five ? 48 : 16) + 16 * p);
      __m256i first = lower(bytes), second = upper(bytes);
      add_fifth(first);
      add_fifth(second);
      store32(numbers + kMostQuantDepth * r + 32 * p, first);
      store32(numbers + kMostQuantDepth * r + 32 * (p + 1), second);
    }
  }
  store_transposed(row_scales, scales);
  store_transposed(row_mins, mins);
}

/// Reads blocks of 128 bytes of lower bits, 64 of upper bits, 16 signed scales and a factor. Each half, 128
/// depths, has four runs of 32. The first two have the lower and the last two the upper 4 bits of the same 64
/// bytes; each of the four has two bits of the same 32 bytes of upper bits.
void read_q6_k(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  __m256 first[kNRows], last[kNRows];  // scales of eight parts each
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const __m256 d = _mm256_set1_ps(half_at(from + 208));
    const __m128i own = load16(from + 192);
    first[r] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(own)));
    last[r] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(own, own))));
    for (int half = 0; half < 2; ++half) {
      const __m256i a = load32(from + 64 * half), b = load32(from + 64 * half + 32);
      const __m256i high = load32(from + 128 + 32 * half);
      const __m256i low[] = {lower(a), lower(b), upper(a), upper(b)};
      const __m256i two[] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                             _mm256_srli_epi16(high, 2)};  // the run's two bits are bits 4 and 5
      for (int i = 0; i < 4; ++i)
        store32(numbers + kMostQuantDepth * r + 128 * half + 32 * i,
                _mm256_or_si256(low[i], _mm256_and_si256(two[i], all(0x30))));
    }
  }
  store_transposed(first, scales);
  store_transposed(last, scales + 8 * kNRows);
}

/// Reads an interleaved block of Q4_0; the highest bit of each number is flipped.
void read_q4_0_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float*) {
  const Byte* from = (const Byte*)block;
  _mm256_storeu_ps(scales, halves_at(from));
  for (int r = 0; r < kNRows; ++r)
    store32(numbers + kMostQuantDepth * r,
            _mm256_xor_si256(split(pieces(from + 2 * kNRows + 8 * r)), all(8)));
}

/// Reads an interleaved block of Q4_K: after the factors, 12 bytes for each part with the scales and mins of
/// the 8 rows.
void read_q4_k_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float* mins) {
  const Byte* from = (const Byte*)block;
  const __m256 d = halves_at(from), d_min = halves_at(from + 2 * kNRows);
  for (int p = 0; p < 8; ++p) {
    const SixBits six(from + 4 * kNRows + 12 * p);
    _mm256_storeu_ps(scales + kNRows * p, _mm256_mul_ps(d, six.scales));
    _mm256_storeu_ps(mins + kNRows * p, _mm256_mul_ps(d_min, six.mins));
  }
  from += 4 * kNRows + 12 * 8;
  for (int r = 0; r < kNRows; ++r)
    for (int p = 0; p < 8; p += 2) {
      const Byte* two = from + 16 * p * kNRows + 8 * r;
      const __m256i bytes = _mm256_set_m128i(pieces(two + 16 * kNRows), pieces(two));
      store32(numbers + kMostQuantDepth * r + 32 * p, lower(bytes));
      store32(numbers + kMostQuantDepth * r + 32 * (p + 1), upper(bytes));
    }
}

/// Half of the power of two whose exponent is `byte`, as MXFP4 has it.
float half_power(Byte byte) {
  const std::uint32_t bits = byte < 2 ? 0x00200000u << byte : std::uint32_t(byte - 1) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power;
}

void read_iq4_nl(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  const Codes codes = codes_iq4();
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    scales[r] = half_at(from);
    store32(numbers + kMostQuantDepth * r, codes.of(split(load16(from + 2))));
  }
}
void read_iq4_nl_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float*) {
  const Codes codes = codes_iq4();
  const Byte* from = (const Byte*)block;
  _mm256_storeu_ps(scales, halves_at(from));
  for (int r = 0; r < kNRows; ++r)
    store32(numbers + kMostQuantDepth * r, codes.of(split(pieces(from + 2 * kNRows + 8 * r))));
}
void read_mxfp4(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  const Codes codes = codes_mxfp4();
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    scales[r] = half_power(*from);
    store32(numbers + kMostQuantDepth * r, codes.of(split(load16(from + 1))));
  }
}
void read_mxfp4_interleaved(const char* block, std::size_t, Byte* numbers, float* scales, float*) {
  const Codes codes = codes_mxfp4();
  const Byte* from = (const Byte*)block;
  for (int r = 0; r < kNRows; ++r) {
    scales[r] = half_power(from[r]);
    store32(numbers + kMostQuantDepth * r, codes.of(split(pieces(from + kNRows + 8 * r))));
  }
}

/// Reads blocks of a factor, 2 bytes with two upper bits of each scale, 4 with the lower 4 bits, and numbers.
void read_iq4_xs(const char* block, std::size_t row, Byte* numbers, float* scales, float*) {
  const Codes codes = codes_iq4();
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const float d = half_at(from);
    const std::uint32_t upper_bits = std::uint32_t(from[2] | from[3] << 8), lower_bits = word_at(from + 4);
    for (int p = 0; p < 8; ++p) {
      const auto scale = int((lower_bits >> 4 * p & 15) | (upper_bits >> 2 * p & 3) << 4);
      scales[kNRows * p + r] = d * float(scale - 32);
      store32(numbers + kMostQuantDepth * r + 32 * p, codes.of(split(load16(from + 8 + 16 * p))));
    }
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
const ByteQuants kQuantsIq4Nl = {32, 18, 32, 0, 128, false, read_iq4_nl};
const ByteQuants kQuantsIq4Xs = {256, 136, 32, 0, 128, false, read_iq4_xs};
const ByteQuants kQuantsMxfp4 = {32, 17, 32, 4, 12, false, read_mxfp4};
const ByteQuants kQuantsIq4NlInterleaved = {32, 18, 32, 0, 128, true, read_iq4_nl_interleaved};
const ByteQuants kQuantsMxfp4Interleaved = {32, 17, 32, 4, 12, true, read_mxfp4_interleaved};

}  // namespace chunkkv::kernels
