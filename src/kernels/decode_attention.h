#pragma once

#include "kernels/attention.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// The cells that each of a few queries sees, in order, cut into parts that different threads can take. How a
/// query's cells are cut depends on their number alone.
struct CellLists {
  struct Part {
    std::int64_t query, begin, end;  ///< `begin` and `end` are places in `cells`
  };
  std::vector<std::uint32_t> cells;
  std::vector<Part> parts;                ///< query after query, at least one for each
  std::vector<std::int64_t> first_parts;  ///< [n_queries + 1]: where each query's parts begin

  void read(const VisibleCells& visible);
};

/// Attention of few queries. The task's `visible`, `seen_by_any` and `statistics` are not used.
struct DecodeAttentionTask {
  AttentionTask task;
  const CellLists::Part* parts = nullptr;  ///< this and the next two point into a CellLists
  const std::int64_t* first_parts = nullptr;
  const std::uint32_t* cells = nullptr;
  std::int64_t n_parts = 0;

  DecodeAttentionTask() = default;
  DecodeAttentionTask(const AttentionTask& task, const CellLists& lists);
};

/// Memory for the results of the parts; attentions may use it one after the other.
struct PartSums {
  float* sums = nullptr;                      ///< [n_parts][n_head][2 + depth]: maximum, weight, values
  std::atomic<std::int32_t>* done = nullptr;  ///< [n_queries][n_head_kv]: parts done; 0 before and after

  static std::size_t n_sums(const DecodeAttentionTask& work) {
    return std::size_t(work.n_parts * work.task.n_head * (2 + work.task.depth));
  }
  static std::size_t n_done(const DecodeAttentionTask& work) {
    return std::size_t(work.task.n_queries * work.task.n_head_kv);
  }
};

/// One implementation, in single precision. Each query visits only the cells that it sees, once for all heads
/// that share a KV head. Its result depends on its own numbers and those of its cells in their order: not on
/// where the cells lie, nor on threads or other queries.
struct DecodeAttentionKernel {
  const char* name;
  /// How many bytes of memory one thread needs; they must be aligned to 64.
  std::size_t (*thread_bytes)(const AttentionTask& task);
  /// Computes the share of one thread: all of them take items from `next` (0 at first) until none is left.
  void (*run)(const DecodeAttentionTask& work, const PartSums& part_sums, char* own,
              std::atomic<std::int64_t>& next);
};

const std::vector<DecodeAttentionKernel>& emulated_decode_attention_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<DecodeAttentionKernel>& decode_attention_kernels();

}  // namespace chunkkv::kernels
