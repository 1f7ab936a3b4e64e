// Compiled for AVX-512, and run only on processors that have it. Nothing here may use templates or inline
// functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/dots.h"
#include "kernels/transpose_avx512.h"

namespace chunkkv::kernels {
namespace {

constexpr int kBlockCells = 32;  // two vectors, so that each number of a query is multiplied with both
constexpr int kMostQueries = 8;

/// Writes up to 32 keys with their cells side by side, [depth][32], and zeros beyond the last.
void take_keys(const DotsTask& task, const char* keys, std::int64_t n, float* columns) {
  for (int half = 0; half < 2; ++half)
    for (std::int64_t d = 0; d < task.depth; d += 16) {
      __m512i rows[16];
      for (int r = 0; r < 16; ++r) {
        const std::int64_t cell = 16 * half + r;
        const char* row = keys + task.k_cell * std::size_t(cell);
        if (cell >= n)
          rows[r] = _mm512_setzero_si512();
        else if (task.k_half)
          rows[r] = _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(row + 2 * d))));
        else
          rows[r] = _mm512_loadu_si512(row + 4 * d);
      }
      transpose(rows);
      for (int r = 0; r < 16; ++r) _mm512_store_si512(columns + (d + r) * kBlockCells + 16 * half, rows[r]);
    }
}

template <int Queries>
void multiply(const DotsTask& task, const char* q, const float* columns, __mmask16 first, __mmask16 second,
              float* out) {
  __m512 sums[Queries][2];
  for (int i = 0; i < Queries; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
  for (std::int64_t d = 0; d < task.depth; ++d) {
    const __m512 a = _mm512_load_ps(columns + d * kBlockCells);
    const __m512 b = _mm512_load_ps(columns + d * kBlockCells + 16);
    for (int i = 0; i < Queries; ++i) {
      const __m512 x = _mm512_set1_ps(((const float*)(q + task.q_query * std::size_t(i)))[d]);
      sums[i][0] = _mm512_fmadd_ps(a, x, sums[i][0]);
      sums[i][1] = _mm512_fmadd_ps(b, x, sums[i][1]);
    }
  }
  for (int i = 0; i < Queries; ++i) {
    _mm512_mask_storeu_ps(out + task.n_cells * i, first, sums[i][0]);
    _mm512_mask_storeu_ps(out + task.n_cells * i + 16, second, sums[i][1]);
  }
}

__mmask16 lowest(std::int64_t n) {
  return n >= 16 ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

}  // namespace

void dots(const DotsTask& task, int thread, int n_threads) {
  alignas(64) float columns[kMostDotsDepth * kBlockCells];
  const std::int64_t group = task.n_head / task.n_head_kv;
  for (std::int64_t cell = thread * kBlockCells; cell < task.n_cells; cell += n_threads * kBlockCells) {
    const std::int64_t n = task.n_cells - cell;
    const __mmask16 first = lowest(n), second = lowest(n - 16);
    for (std::int64_t head = 0; head < task.n_head; ++head) {
      if (head % group == 0)
        take_keys(task, task.k + task.k_head * std::size_t(head / group) + task.k_cell * std::size_t(cell), n,
                  columns);
      std::int64_t i = 0;
      for (; i + kMostQueries <= task.n_queries; i += kMostQueries)
        multiply<kMostQueries>(task, task.q + task.q_head * std::size_t(head) + task.q_query * std::size_t(i),
                               columns, first, second,
                               task.out + (head * task.n_queries + i) * task.n_cells + cell);
      for (; i < task.n_queries; ++i)
        multiply<1>(task, task.q + task.q_head * std::size_t(head) + task.q_query * std::size_t(i), columns,
                    first, second, task.out + (head * task.n_queries + i) * task.n_cells + cell);
    }
  }
}

}  // namespace chunkkv::kernels
