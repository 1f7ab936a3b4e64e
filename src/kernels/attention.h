#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace chunkkv::kernels {

/// Which cells each query sees, a bit a cell: groups of 32 cells, [n_groups][n_queries].
struct VisibleCells {
  std::int64_t n_queries = 0, n_cells = 0;
  std::vector<std::uint32_t> words;
  std::vector<std::uint32_t> by_any;  ///< [n_groups]: seen by any query

  std::int64_t n_groups() const { return (n_cells + 31) / 32; }

  /// Reads the engine's mask, F16 numbers [n_queries][n_cells] with rows of `row_bytes`; null: all is seen.
  /// False when it holds numbers other than 0 and minus infinity.
  bool read(const char* mask, std::int64_t queries, std::int64_t cells, std::size_t row_bytes);
};

/// out[t][h] = sum over cells c of softmax(scale q[h][t] k[kv head of h] + mask[t])[c] v[kv head of h][c].
/// Strides are in bytes; numbers of a row are contiguous.
struct AttentionTask {
  std::int64_t n_queries = 0, n_cells = 0, n_head = 0, n_head_kv = 0;
  std::int64_t depth = 0;  ///< of keys and of values: a multiple of 16, at most kMostAttentionDepth
  float scale = 1;
  float softcap = 0;        ///< logits become softcap tanh(logits / softcap); 0: as they are
  const char* q = nullptr;  ///< F32
  std::size_t q_query = 0, q_head = 0;
  const char *k = nullptr, *v = nullptr;  ///< F16
  std::size_t k_cell = 0, k_head = 0, v_cell = 0, v_head = 0;
  const float* sinks = nullptr;            ///< [n_head] logits that only take weight; null: none
  const std::uint32_t* visible = nullptr;  ///< VisibleCells::words
  const std::uint32_t* by_any = nullptr;   ///< VisibleCells::by_any
  /// [n_head][n_queries][2]: a query's maximum, in powers of two, and what scales its weights; null: not
  /// asked for.
  float* statistics = nullptr;
  char* out = nullptr;  ///< F32; null: only the statistics
  std::size_t out_query = 0, out_head = 0;
};

constexpr std::int64_t kMostAttentionDepth = 256;

/// Queries first, first + stride, ...
struct QueryList {
  std::int64_t first = 0, count = 0, stride = 1;
};

/// One implementation. A query's result depends on nothing but its own numbers and the cells up to the last
/// that it sees, whatever else is computed with it and by how many threads.
struct AttentionKernel {
  const char* name;
  /// Memory of one thread, aligned to 64 bytes.
  std::size_t (*thread_bytes)(const AttentionTask& task, int n_threads);
  /// The share of one thread of `n_threads`, which take items from `next` (0 at first) until none is left.
  void (*run)(const AttentionTask& task, int n_threads, char* own, std::atomic<std::int64_t>& next);
  /// Likewise what queries pay to each cell, [n_head][n_cells]: sums of their weights. The task's statistics
  /// are known.
  void (*sums)(const AttentionTask& task, const QueryList& queries, int n_threads, char* own,
               std::atomic<std::int64_t>& next, float* out);
};

/// All that are compiled in, the fastest first. Emulated ones compute anywhere, slowly, what the real ones
/// do.
const std::vector<AttentionKernel>& emulated_attention_kernels();
/// Those that this processor can run, the fastest first; may be empty.
const std::vector<AttentionKernel>& attention_kernels();

}  // namespace chunkkv::kernels
