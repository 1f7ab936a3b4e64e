#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/weights.h"

// How the engine keeps weights for its integer products on AMX: blocks of 16 outputs. A word of 4 bytes
// belongs to one output and holds 4 neighbouring depths; of numbers with 4 bits, the lower halves of its
// bytes hold depths 8i .. 8i + 3 and the upper ones 8i + 4 .. 8i + 7. Then come higher bits, scales and
// factors, by output. Without external names, as amx_tiles.h.
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

/// 16 bytes, without sign.
inline Floats bytes_at(const char* from, int stride = 1) {
  Words words = {};
  for (int i = 0; i < 16; ++i) words[i] = (unsigned char)from[i * stride];
  return to_floats(words);
}

/// 16 numbers in F16.
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

/// The number of `depth` among numbers with 4 bits.
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

/// Scales and leasts of the 8 parts of 256 weights: bytes [8][16], bytes [4][16][2], then the factors of
/// both.
struct Parts {
  Floats scale[8], least[8];
  explicit Parts(const char* from) {
    const Floats d = halves_at(from + 256), d_least = halves_at(from + 288);
    for (int i = 0; i < 8; ++i) {
      scale[i] = d * bytes_at(from + 16 * i);
      least[i] = d_least * bytes_at(from + 128 + i / 2 * 32 + i % 2, 2);
    }
  }
};

void read_amx_q4_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Parts parts(block + 2048);
  for (int k = 0; k < 256; ++k)
    put(to, row, k, parts.scale[k / 32] * to_floats(low_bits(block, k)) - parts.least[k / 32]);
}

/// The fifth bits of 32 depths are in 4 bytes an output: bit j of byte b belongs to depth 4j + b.
void read_amx_q5_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Parts parts(block + 2560);
  for (int k = 0; k < 256; ++k) {
    const Words high = words_at(block + 2048 + k / 32 * 64) >> std::uint32_t(8 * (k % 4) + k % 32 / 4) & 1u;
    put(to, row, k, parts.scale[k / 32] * to_floats(low_bits(block, k) | high << 4) - parts.least[k / 32]);
  }
}

/// The upper two bits of 16 depths are in 4 bytes an output: bits 2j and 2j + 1 of byte b belong to depth
/// 4j + b. A scale is for 16 depths.
void read_amx_q6_k(const char* block, ToFloat, float* to, std::int64_t row) {
  const Floats d = halves_at(block + 3328);
  Floats scale[16];
  for (int i = 0; i < 16; ++i) {
    Floats signed_bytes = {};
    for (int o = 0; o < 16; ++o) signed_bytes[o] = float((signed char)block[3072 + 16 * i + o]);
    scale[i] = d * signed_bytes;
  }
  for (int k = 0; k < 256; ++k) {
    const Words high =
        words_at(block + 2048 + k / 16 * 64) >> std::uint32_t(8 * (k % 4) + k % 16 / 4 * 2) & 3u;
    put(to, row, k, scale[k / 16] * (to_floats(low_bits(block, k) | high << 4) - 32.0f));
  }
}

}  // namespace
}  // namespace chunkkv::kernels
