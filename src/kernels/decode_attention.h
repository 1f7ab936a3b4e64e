#pragma once

#include "kernels/attention.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// The cells that each of a few queries sees, in order, cut into parts that threads take apart. How a query's
/// cells are cut depends on their number alone.
struct CellLists {
  struct Part {
    std::int64_t query, begin, end;  ///< in `cells`
  };
  std::vector<std::uint32_t> cells;
  std::vector<Part> parts;                ///< query after query, at least one of each
  std::vector<std::int64_t> first_parts;  ///< [n_queries + 1]

  void read(const VisibleCells& visible);
};

/// Attention of few queries. The task's `visible`, `by_any` and `statistics` are not used.
struct DecodeAttentionTask {
  AttentionTask task;
  const CellLists::Part* parts = nullptr;  ///< of CellLists, as the next two
  const std::int64_t* first_parts = nullptr;
  const std::uint32_t* cells = nullptr;
  std::int64_t n_parts = 0;

  DecodeAttentionTask() = default;
  DecodeAttentionTask(const AttentionTask& task, const CellLists& lists);
};

/// What is known of the parts: memory that attentions may use one after the other.
struct PartSums {
  float* sums = nullptr;                      ///< [n_parts][n_head][2 + depth]: maximum, weight, values
  std::atomic<std::int32_t>* done = nullptr;  ///< [n_queries][n_head_kv] parts; 0 before and after

  static std::size_t n_sums(const DecodeAttentionTask& work) {
    return std::size_t(work.n_parts * work.task.n_head * (2 + work.task.depth));
  }
  static std::size_t n_done(const DecodeAttentionTask& work) {
    return std::size_t(work.task.n_queries * work.task.n_head_kv);
  }
};

/// One implementation. Each query visits only the cells that it sees, once for all heads that share them, in
/// single precision. Its result depends on its own numbers and those of its cells in their order: not on
/// where they lie, nor on threads or other queries.
struct DecodeAttentionKernel {
  const char* name;
  /// Memory of one thread, aligned to 64 bytes.
  std::size_t (*thread_bytes)(const AttentionTask& task);
  /// The share of one thread; all take items from `next` (0 at first) until none is left.
  void (*run)(const DecodeAttentionTask& work, const PartSums& known, char* own,
              std::atomic<std::int64_t>& next);
};

const std::vector<DecodeAttentionKernel>& emulated_decode_attention_kernels();
/// Those that this processor can run, the fastest first; may be empty.
const std::vector<DecodeAttentionKernel>& decode_attention_kernels();

}  // namespace chunkkv::kernels
