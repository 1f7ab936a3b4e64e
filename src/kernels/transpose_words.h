#pragma once

#include "kernels/bf16.h"

#ifdef __AVX512F__
#include "kernels/transpose_avx512.h"
#endif

namespace chunkkv::kernels {
namespace {

/// Stores 16 x 16 numbers of 32 bits as columns: 16 rows, `stride` bytes from row to row.
inline __attribute__((always_inline)) void store_transposed(const Words (&columns)[16], char* to,
                                                            int stride) {
#ifdef __AVX512F__
  __m512i rows[16];
  for (int i = 0; i < 16; ++i) rows[i] = (__m512i)columns[i];
  transpose(rows);
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + stride * i, rows[i]);
#else
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t number = columns[i][row];
      std::memcpy(to + stride * row + 4 * i, &number, sizeof number);
    }
#endif
}

}  // namespace
}  // namespace chunkkv::kernels
