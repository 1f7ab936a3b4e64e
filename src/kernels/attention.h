#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace chunkkv::kernels {

/// Which cells each query sees: one bit a cell, in words of 32 cells.
struct VisibleCells {
  std::int64_t n_queries = 0, n_cells = 0;
  std::vector<std::uint32_t> words;        ///< [n_groups][n_queries]
  std::vector<std::uint32_t> seen_by_any;  ///< [n_groups]: the cells that any query sees

  std::int64_t n_groups() const { return (n_cells + 31) / 32; }

  /// Reads the engine's mask, F16 numbers [n_queries][n_cells] with rows of `row_bytes`; without a mask
  /// (null) all cells are seen. Returns false if it holds other numbers than 0 and minus infinity.
  bool read(const char* mask, std::int64_t queries, std::int64_t cells, std::size_t row_bytes);
};

/// out[t][h] = sum over cells c of softmax(scale q[h][t] k[kv head of h] + mask[t])[c] v[kv head of h][c].
/// Strides are in bytes; numbers of a row are contiguous.
struct AttentionTask {
  std::int64_t n_queries = 0, n_cells = 0, n_head = 0, n_head_kv = 0;
  std::int64_t depth = 0;  ///< size of a key and of a value: a multiple of 16, at most kMostAttentionDepth
  float scale = 1;
  float softcap = 0;        ///< logits become softcap tanh(logits / softcap); 0: no cap
  const char* q = nullptr;  ///< F32
  std::size_t q_query = 0, q_head = 0;
  const char *k = nullptr, *v = nullptr;  ///< F16
  std::size_t k_cell = 0, k_head = 0, v_cell = 0, v_head = 0;
  const float* sinks = nullptr;            ///< [n_head] logits that take weight but have no value; null: none
  const std::uint32_t* visible = nullptr;  ///< VisibleCells::words
  const std::uint32_t* seen_by_any = nullptr;  ///< VisibleCells::seen_by_any
  /// [n_head][n_queries][2]: each query's maximum m and factor f, for `sums` of the same kernel: a cell's
  /// weight is f 2^(x - m), x being its logit in powers of two. Null: not written.
  float* statistics = nullptr;
  /// [n_parts][n_head][n_cells]: the attention that each cell receives from the queries of each part; the
  /// parts together are what `sums` computes for all queries, nearly (attention_received.h). Null: not
  /// written. Needs `out`.
  float* received = nullptr;
  std::int64_t n_parts = 0;  ///< what the kernel's `n_parts` says
  char* out = nullptr;       ///< F32; null: only the statistics
  std::size_t out_query = 0, out_head = 0;
};

constexpr std::int64_t kMostAttentionDepth = 256;

/// The `count` queries first, first + stride, ...
struct QueryList {
  std::int64_t first = 0, count = 0, stride = 1;
};

/// One implementation. A query's result depends on nothing but its own numbers and the cells up to the last
/// that it sees, whatever else is computed with it and by how many threads. Only the rounding in F16 and BF16
/// also depends on the first 64 cells that any query sees: their mean is subtracted from all keys.
struct AttentionKernel {
  const char* name;
  /// In how many parts it writes the attention that cells receive, if that is wanted.
  std::int64_t (*n_parts)(const AttentionTask& task, int n_threads);
  /// How many bytes of memory one thread needs; they must be aligned to 64.
  std::size_t (*thread_bytes)(const AttentionTask& task, int n_threads);
  /// Computes the share of one thread: all of them take items from `next` (0 at first) until none is left.
  /// `n_threads` sets the size of items and is the same in all calls.
  void (*run)(const AttentionTask& task, int n_threads, char* own, std::atomic<std::int64_t>& next);
  /// Computes in the same way the attention that each cell receives from `queries`, [n_head][n_cells]: the
  /// sums of their weights. The task has the statistics that `run` wrote.
  void (*sums)(const AttentionTask& task, const QueryList& queries, int n_threads, char* own,
               std::atomic<std::int64_t>& next, float* out);
};

/// All kernels in plain C++, for tests: they run on every processor and compute slowly what the real ones do.
const std::vector<AttentionKernel>& emulated_attention_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<AttentionKernel>& attention_kernels();

}  // namespace chunkkv::kernels
