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

__mmask16 lowest(std::int64_t n) {
  return n >= 16 ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

/// The logits of a head in a block of cells: where they go, and what is made of them.
struct Block {
  float* out = nullptr;    ///< of the first query; n_cells from query to query
  __mmask16 cells[2];      ///< those that there are, in both vectors
  __mmask16 past[2] = {};  ///< those that are of the past
  bool raises = false;     ///< the greater ones of these and of what is there stay
  bool hides = false;      ///< cells that are not of the past get minus infinity
};

/// Stores a query's logits of one of the two vectors of cells.
void store(const Block& block, int vector, __m512 logits, float* to) {
  to += 16 * vector;
  const __mmask16 cells = block.cells[vector];
  if (block.raises)
    logits = _mm512_max_ps(logits, _mm512_maskz_loadu_ps(cells, to));  // what is there stays beside NaN
  if (block.hides) logits = _mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), block.past[vector], logits);
  _mm512_mask_storeu_ps(to, cells, logits);
}

template <int Queries>
void multiply(const DotsTask& task, const char* q, const float* columns, const Block& block,
              std::int64_t query) {
  q += task.q_query * std::size_t(query);
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
  for (int i = 0; i < Queries; ++i)
    for (int vector = 0; vector < 2; ++vector)
      store(block, vector, sums[i][vector], block.out + task.n_cells * (query + i));
}

/// The cells of a vector whose flag is not 0.
__mmask16 flagged(const std::uint8_t* flags, __mmask16 cells) {
  const __m128i all = _mm_maskz_loadu_epi8(cells, flags);
  return _mm_test_epi8_mask(all, all);
}

}  // namespace

void dots(const DotsTask& task, int thread, int n_threads) {
  alignas(64) float columns[kMostDotsDepth * kBlockCells];
  const std::int64_t group = task.n_head / task.n_head_kv;
  const bool joins = task.past != nullptr;
  for (std::int64_t cell = thread * kBlockCells; cell < task.n_cells; cell += n_threads * kBlockCells) {
    const std::int64_t n = task.n_cells - cell;
    Block block{.cells = {lowest(n), lowest(n - 16)}};
    if (joins)
      for (int vector = 0; vector < 2; ++vector)
        block.past[vector] = flagged(task.past + cell + 16 * vector, block.cells[vector]);
    for (std::int64_t head = 0; head < task.n_head; ++head) {
      const std::int64_t kv_head = head / group;
      if (head % group == 0)
        take_keys(task, task.k + task.k_head * std::size_t(kv_head) + task.k_cell * std::size_t(cell), n,
                  columns);
      block.out = task.out + (joins ? kv_head : head) * task.n_queries * task.n_cells + cell;
      block.raises = joins && head % group > 0;
      block.hides = joins && head % group == group - 1;
      const char* const q = task.q + task.q_head * std::size_t(head);
      std::int64_t i = 0;
      for (; i + kMostQueries <= task.n_queries; i += kMostQueries)
        multiply<kMostQueries>(task, q, columns, block, i);
      for (; i < task.n_queries; ++i) multiply<1>(task, q, columns, block, i);
    }
  }
}

}  // namespace chunkkv::kernels
