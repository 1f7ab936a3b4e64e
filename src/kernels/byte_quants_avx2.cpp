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
using To = ByteQuants::Target;

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
__m256i all(int byte) {
  return _mm256_set1_epi8((char)byte);
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
  __m256i operator()(__m256i numbers) const { return _mm256_shuffle_epi8(all, numbers); }
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

void store_quad(const To& to, int quad, __m256i rows) {
  _mm256_storeu_si256((__m256i*)(to.numbers + to.quad_bytes * std::size_t(quad)), rows);
}
/// Stores 32 depths from `depth` on of each row.
void store_rows(const To& to, int depth, __m256i (&rows)[kNRows]) {
  transpose(rows);
  for (int i = 0; i < 8; ++i) store_quad(to, depth / 4 + i, rows[i]);
}
/// Stores 8 depths from `depth` on of each row, which lie one row after the other in two vectors.
void store_pieces(const To& to, int depth, __m256i first, __m256i second) {
  const __m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);
  const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
  const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
  store_quad(to, depth / 4, _mm256_permute4x64_epi64(even, 0xd8));
  store_quad(to, depth / 4 + 1, _mm256_permute4x64_epi64(odd, 0xd8));
}

float* scales_of(const To& to, int part) {
  return to.scales + to.part_step * std::size_t(part);
}
float* mins_of(const To& to, int part) {
  return to.mins + to.part_step * std::size_t(part);
}
/// Stores one number for each of 8 parts from `part` on of each row.
void store_parts(float* to, std::size_t part_step, const __m256 (&rows)[kNRows]) {
  __m256i words[kNRows];
  for (int r = 0; r < kNRows; ++r) words[r] = _mm256_castps_si256(rows[r]);
  transpose(words);
  for (int p = 0; p < 8; ++p)
    _mm256_storeu_ps(to + part_step * std::size_t(p), _mm256_castsi256_ps(words[p]));
}

/// Reads blocks of 32 weights: a factor, with `Min` a second one that is added, with `Five` the fifth bits,
/// and then the numbers.
template <bool Min, bool Five>
void read_small(const char* block, std::size_t row, const To& to) {
  __m256i rows[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    to.scales[r] = half_at(from);
    if (Min) to.mins[r] = -half_at(from + 2);
    from += Min ? 4 : 2;
    rows[r] = split(load16(from + (Five ? 4 : 0)));
    if (Five) rows[r] = _mm256_or_si256(rows[r], spread_bits(word_at(from), 16));
  }
  store_rows(to, 0, rows);
}

/// Reads blocks of 32 weights: a factor and signed numbers, which get an offset that makes them positive.
void read_q8_0(const char* block, std::size_t row, const To& to) {
  __m256i rows[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    to.scales[r] = half_at(from);
    rows[r] = _mm256_xor_si256(load32(from + 2), all(128));
  }
  store_rows(to, 0, rows);
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
void read_parts(const char* block, std::size_t row, const To& to) {
  __m256 scales[kNRows], mins[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const SixBits six(from + 4);
    scales[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from)), six.scales);
    mins[r] = _mm256_mul_ps(_mm256_set1_ps(half_at(from + 2)), six.mins);
  }
  store_parts(to.scales, to.part_step, scales);
  store_parts(to.mins, to.part_step, mins);
  const auto fifth = [](const Byte* from, int part) {
    return _mm256_slli_epi16(_mm256_and_si256(_mm256_srli_epi16(load32(from + 16), part), all(1)), 4);
  };
  for (int p = 0; p < 8; p += 2) {
    __m256i first[kNRows], second[kNRows];
    for (int r = 0; r < kNRows; ++r) {
      const Byte* from = (const Byte*)block + row * std::size_t(r);
      const __m256i bytes = load32(from + (Five ? 48 : 16) + 16 * p);
      first[r] = lower(bytes);
      second[r] = upper(bytes);
      if (!Five) continue;
      first[r] = _mm256_or_si256(first[r], fifth(from, p));
      second[r] = _mm256_or_si256(second[r], fifth(from, p + 1));
    }
    store_rows(to, 32 * p, first);
    store_rows(to, 32 * (p + 1), second);
  }
}

/// Reads blocks of 128 bytes of lower bits, 64 of upper bits, 16 signed scales and a factor. Each half, 128
/// depths, has four runs of 32. The first two have the lower and the last two the upper 4 bits of the same 64
/// bytes; each of the four has two bits of the same 32 bytes of upper bits.
void read_q6_k(const char* block, std::size_t row, const To& to) {
  __m256 first[kNRows], last[kNRows];  // scales of eight parts each
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    const __m256 d = _mm256_set1_ps(half_at(from + 208));
    const __m128i own = load16(from + 192);
    first[r] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(own)));
    last[r] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(own, own))));
  }
  store_parts(to.scales, to.part_step, first);
  store_parts(scales_of(to, 8), to.part_step, last);
  for (int run = 0; run < 8; ++run) {
    const int half = run / 4, i = run % 4;
    __m256i rows[kNRows];
    for (int r = 0; r < kNRows; ++r) {
      const Byte* from = (const Byte*)block + row * std::size_t(r);
      const __m256i low = load32(from + 64 * half + i % 2 * 32);
      const __m256i two = _mm256_srli_epi16(load32(from + 128 + 32 * half), 2 * i);  // in bits 0 and 1
      const __m256i high = _mm256_slli_epi16(_mm256_and_si256(two, all(3)), 4);
      rows[r] = _mm256_or_si256(i < 2 ? lower(low) : upper(low), high);
    }
    store_rows(to, 32 * run, rows);
  }
}

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

/// Half of the power of two whose exponent is `byte`, as MXFP4 has it.
float half_power(Byte byte) {
  const std::uint32_t bits = byte < 2 ? 0x00200000u << byte : std::uint32_t(byte - 1) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power;
}

void read_iq4_nl(const char* block, std::size_t row, const To& to) {
  const Codes codes = codes_iq4();
  __m256i rows[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    to.scales[r] = half_at(from);
    rows[r] = codes(split(load16(from + 2)));
  }
  store_rows(to, 0, rows);
}
void read_iq4_nl_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  _mm256_storeu_ps(to.scales, halves_at(from));
  read_pieces(from + 2 * kNRows, to, codes_iq4());
}

void read_mxfp4(const char* block, std::size_t row, const To& to) {
  const Codes codes = codes_mxfp4();
  __m256i rows[kNRows];
  for (int r = 0; r < kNRows; ++r) {
    const Byte* from = (const Byte*)block + row * std::size_t(r);
    to.scales[r] = half_power(*from);
    rows[r] = codes(split(load16(from + 1)));
  }
  store_rows(to, 0, rows);
}
void read_mxfp4_interleaved(const char* block, std::size_t, const To& to) {
  const Byte* from = (const Byte*)block;
  for (int r = 0; r < kNRows; ++r) to.scales[r] = half_power(from[r]);
  read_pieces(from + kNRows, to, codes_mxfp4());
}

/// Reads blocks of a factor, 2 bytes with two upper bits of each scale, 4 with the lower 4 bits, and numbers.
void read_iq4_xs(const char* block, std::size_t row, const To& to) {
  const Codes codes = codes_iq4();
  for (int p = 0; p < 8; ++p) {
    __m256i rows[kNRows];
    for (int r = 0; r < kNRows; ++r) {
      const Byte* from = (const Byte*)block + row * std::size_t(r);
      const int upper_bits = (from[2] | from[3] << 8) >> 2 * p & 3;
      const int lower_bits = from[4 + p / 2] >> p % 2 * 4 & 15;
      scales_of(to, p)[r] = half_at(from) * float((upper_bits << 4 | lower_bits) - 32);
      rows[r] = codes(split(load16(from + 8 + 16 * p)));
    }
    store_rows(to, 32 * p, rows);
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
