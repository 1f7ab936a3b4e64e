#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/bf16.h"
#include "kernels/weights.h"

// How the engine keeps weights for its integer products on AMX: blocks of 16 outputs. A word of 4 bytes
// belongs to one output and holds 4 neighbouring depths; with 4-bit numbers, the lower halves of its bytes
// hold depths 8i .. 8i + 3 and the upper halves 8i + 4 .. 8i + 7. Higher bits, scales and factors follow,
// each by output. Without external linkage, as in amx_tiles.h.
namespace chunkkv::kernels {
namespace {

using Integers = std::int32_t __attribute__((vector_size(64)));

inline Words words_at(const char* from) {
  Words words;
  __builtin_memcpy(&words, from, sizeof words);
  return words;
}

inline Floats to_floats(const Words& words) {
  return __builtin_convertvector((Integers)words, Floats);
}

/// Loads 16 bytes, `stride` bytes apart.
template <class Byte>
inline Floats bytes_at(const char* from, int stride = 1) {
  Integers numbers = {};
  for (int i = 0; i < 16; ++i) numbers[i] = (Byte)from[i * stride];
  return __builtin_convertvector(numbers, Floats);
}

/// Loads 16 F16 numbers.
inline Floats halves_at(const char* from) {
#ifdef __AVX512F__
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#else
  Floats result = {};
  for (int i = 0; i < 16; ++i) {
    std::uint16_t half;
    __builtin_memcpy(&half, from + 2 * i, sizeof half);
    const std::uint32_t sign = std::uint32_t(half >> 15) << 31, exponent = half >> 10 & 31u,
                        rest = half & 1023u;
    const std::uint32_t bits =
        exponent == 31 ? 0x7f800000u | rest << 13 : (exponent + 112) << 23 | rest << 13;
    float number;
    if (exponent == 0)
      number = float(rest) * 0x1p-24f;
    else
      __builtin_memcpy(&number, &bits, sizeof number);
    result[i] = sign != 0 ? -number : number;
  }
  return result;
#endif
}

inline void put(float* to, std::int64_t row, std::int64_t depth, const Floats& numbers) {
  __builtin_memcpy(to + row * depth, &numbers, sizeof numbers);
}

/// The 4-bit numbers of 16 outputs at `depth`.
inline Words low_bits(const char* block, int depth) {
  return words_at(block + depth / 8 * 64) >> std::uint32_t(8 * (depth % 4) + depth % 8 / 4 * 4) & 15u;
}

void read_amx_q4_0(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats d = halves_at(block + 256);
  for (int k = 0; k < 32; ++k) put(to, row, k, d * (to_floats(low_bits(block, k)) - 8.0f));
}

void read_amx_q4_1(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats d = halves_at(block + 256), m = halves_at(block + 288);
  for (int k = 0; k < 32; ++k) put(to, row, k, d * to_floats(low_bits(block, k)) + m);
}

void read_amx_q8_0(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats d = halves_at(block + 512);
  for (int k = 0; k < 32; ++k) {
    const Integers top = (Integers)(words_at(block + k / 4 * 64) << std::uint32_t(24 - 8 * (k % 4)));
    put(to, row, k, d * __builtin_convertvector(top >> 24, Floats));
  }
}

/// Scales and mins of the 8 parts of 256 weights: scales as bytes [8][16], mins as bytes [4][16][2], then
/// the factors of both.
struct Parts {
  Floats scale[8], min[8];
  explicit Parts(const char* from) {
    const Floats d = halves_at(from + 256), d_min = halves_at(from + 288);
    for (int i = 0; i < 8; ++i) {
      scale[i] = d * bytes_at<unsigned char>(from + 16 * i);
      min[i] = d_min * bytes_at<unsigned char>(from + 128 + i / 2 * 32 + i % 2, 2);
    }
  }
};

void read_amx_q4_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Parts parts(block + 2048);
  for (int k = 0; k < 256; ++k)
    put(to, row, k, parts.scale[k / 32] * to_floats(low_bits(block, k)) - parts.min[k / 32]);
}

/// The fifth bits of 32 depths are in 4 bytes for each output: bit j of byte b belongs to depth 4j + b.
void read_amx_q5_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Parts parts(block + 2560);
  for (int k = 0; k < 256; ++k) {
    const Words high = words_at(block + 2048 + k / 32 * 64) >> std::uint32_t(8 * (k % 4) + k % 32 / 4) & 1u;
    put(to, row, k, parts.scale[k / 32] * to_floats(low_bits(block, k) | high << 4) - parts.min[k / 32]);
  }
}

/// The values at 16 places.
inline Floats values_at(const Floats& values, const Words& places) {
#ifdef __AVX512F__
  return (Floats)_mm512_permutexvar_ps((__m512i)places, (__m512)values);
#else
  Floats result = {};
  for (int i = 0; i < 16; ++i) result[i] = values[places[i]];
  return result;
#endif
}

/// The numbers are places in a table of 16 values; each 32 depths have a scale.
void read_amx_iq4_xs(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats values = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const Floats d = halves_at(block + 2176);
  for (int k = 0; k < 256; k += 32) {
    const Floats scale = d * bytes_at<signed char>(block + 2048 + k / 2);
    for (int i = k; i < k + 32; ++i) put(to, row, i, scale * values_at(values, low_bits(block, i)));
  }
}

/// The upper two bits of 16 depths are in 4 bytes for each output: bits 2j and 2j + 1 of byte b belong to
/// depth 4j + b. Each 16 depths have a scale.
void read_amx_q6_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats d = halves_at(block + 3328);
  Floats scale[16];
  for (int i = 0; i < 16; ++i) scale[i] = d * bytes_at<signed char>(block + 3072 + 16 * i);
  for (int k = 0; k < 256; ++k) {
    const Words high =
        words_at(block + 2048 + k / 16 * 64) >> std::uint32_t(8 * (k % 4) + k % 16 / 4 * 2) & 3u;
    put(to, row, k, scale[k / 16] * (to_floats(low_bits(block, k) | high << 4) - 32.0f));
  }
}

}  // namespace
}  // namespace chunkkv::kernels
