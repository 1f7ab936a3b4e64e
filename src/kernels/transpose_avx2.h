#pragma once

#include <immintrin.h>
#include <cstddef>

namespace chunkkv::kernels {

/// Transposes 8 x 8 numbers of 32 bits. Static: each source keeps its own copy, so that none compiled for one
/// processor is run on another.
static inline void transpose(__m256i (&r)[8]) {
  __m256i t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x20);
    t[4 + i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

/// Transposes the first 32 bytes of 8 rows, which are `row` bytes apart, to 8 rows that are `to_row` apart.
static inline void transpose_rows(const void* from, std::size_t row, char* to, std::size_t to_row) {
  __m256i r[8];
  for (std::size_t i = 0; i < 8; ++i)
    r[i] = _mm256_loadu_si256((const __m256i*)((const char*)from + row * i));
  transpose(r);
  for (std::size_t i = 0; i < 8; ++i) _mm256_storeu_si256((__m256i*)(to + to_row * i), r[i]);
}

}  // namespace chunkkv::kernels
