#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/decode_attention.h"

namespace chunkkv::kernels {
namespace {

/// Attention of few queries. The rows of a block of cells become single precision once for all heads that
/// share them; then two heads are multiplied with four rows at a time, so that all sums stay in registers.
template <class V>
class DecodeAttention {
  using F = typename V::F;
  static constexpr std::int64_t kBlock = 32;  // cells whose rows stay in the first-level cache
  static constexpr std::int64_t kRowsTogether = 4;
  static constexpr float kLog2e = 1.44269504f;

  struct Memory {
    float* rows;     ///< [block][depth]: first keys, then values
    float* queries;  ///< [group][depth], scaled for logits in powers of two, or for V::capped
    float* weights;  ///< [group][block]: first logits, then weights
    float* maximum;  ///< [group]
    float* total;    ///< [group]
    float* values;   ///< [group][depth]
    std::size_t bytes;

    Memory(const AttentionTask& task, char* own) {
      const auto group = std::size_t(task.n_head / task.n_head_kv), depth = std::size_t(task.depth);
      MemoryParts all{own};
      rows = all.take_floats(kBlock * depth);
      queries = all.take_floats(group * depth);
      weights = all.take_floats(group * kBlock);
      maximum = all.take_floats(group);
      total = all.take_floats(group);
      values = all.take_floats(group * depth);
      bytes = all.bytes;
    }
  };

 public:
  static std::size_t thread_bytes(const AttentionTask& task) { return Memory(task, nullptr).bytes; }

  static void run(const DecodeAttentionTask& work, const PartSums& part_sums, char* own,
                  std::atomic<std::int64_t>& next) {
    const AttentionTask& task = work.task;
    const Memory memory(task, own);
    // KV heads change fastest: threads then share the cache lines that hold rows of several heads.
    for (std::int64_t i;
         (i = next.fetch_add(1, std::memory_order_relaxed)) < work.n_parts * task.n_head_kv;) {
      const std::int64_t kv_head = i % task.n_head_kv, query = work.parts[i / task.n_head_kv].query;
      compute(work, part_sums, i / task.n_head_kv, kv_head, memory);
      std::atomic<std::int32_t>& done = part_sums.done[query * task.n_head_kv + kv_head];
      const auto n = std::int32_t(work.first_parts[query + 1] - work.first_parts[query]);
      if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < n) continue;
      done.store(0, std::memory_order_relaxed);
      join(work, part_sums, query, kv_head);
    }
  }

 private:
  static std::int64_t group_of(const AttentionTask& task) { return task.n_head / task.n_head_kv; }

  static void compute(const DecodeAttentionTask& work, const PartSums& part_sums, std::int64_t index,
                      std::int64_t kv_head, const Memory& memory) {
    const AttentionTask& task = work.task;
    const CellLists::Part part = work.parts[index];
    const std::int64_t group = group_of(task);
    start(task, part.query, kv_head, memory);
    const char* keys = task.k + task.k_head * std::size_t(kv_head);
    const char* values = task.v + task.v_head * std::size_t(kv_head);
    for (std::int64_t at = part.begin; at < part.end; at += kBlock) {
      const std::uint32_t* list = work.cells + at;
      const std::int64_t n = min_of(kBlock, part.end - at);
      const std::int64_t next = min_of(kBlock, part.end - at - n);
      take_rows({keys, task.k_cell, list, n}, {values, task.v_cell, list, n}, task.depth, memory.rows);
      std::int64_t head = 0;
      for (; head + 2 <= group; head += 2) logits<2>(task.depth, n, head, memory);
      if (head < group) logits<1>(task.depth, n, head, memory);
      for (head = 0; head < group; ++head) to_weights(task, n, head, memory);
      take_rows({values, task.v_cell, list, n}, {keys, task.k_cell, list + n, next}, task.depth, memory.rows);
      for (head = 0; head + 2 <= group; head += 2) add_values<2>(task.depth, n, head, memory);
      if (head < group) add_values<1>(task.depth, n, head, memory);
    }
    keep(work, part_sums, index, kv_head, memory);
  }

  static void start(const AttentionTask& task, std::int64_t query, std::int64_t kv_head,
                    const Memory& memory) {
    const std::int64_t group = group_of(task);
    const float scale = task.softcap != 0 ? task.scale / task.softcap * 2 * kLog2e : task.scale * kLog2e;
    for (std::int64_t h = 0; h < group; ++h) {
      const float* from = numbers(task.q + task.q_head * std::size_t(kv_head * group + h) +
                                  task.q_query * std::size_t(query));
      for (std::int64_t d = 0; d < task.depth; ++d) memory.queries[h * task.depth + d] = from[d] * scale;
      memory.maximum[h] = -1e30f;
      memory.total[h] = 0;
    }
    for (std::int64_t i = 0; i < group * task.depth; ++i) memory.values[i] = 0;
  }

  /// Rows of listed cells.
  struct Rows {
    const char* first;
    std::size_t bytes;  ///< from cell to cell
    const std::uint32_t* list;
    std::int64_t n;

    const char* at(std::int64_t i) const { return first + bytes * std::size_t(list[i]); }
  };

  /// Reads rows, and fetches those that are wanted next: they lie far apart in memory. Adds rows of zeros up
  /// to a multiple of `kRowsTogether`.
  static void take_rows(const Rows& rows, const Rows& later, std::int64_t depth, float* to) {
    std::int64_t i = 0;
    for (; i < rows.n; ++i, to += depth) {
      if (i < later.n) fetch(later.at(i), 2 * depth);
      const char* from = rows.at(i);
      for (std::int64_t d = 0; d < depth; d += V::kWidth) V::store(to + d, V::from_half(from + 2 * d));
    }
    for (; i % kRowsTogether != 0; ++i, to += depth) std::memset(to, 0, std::size_t(depth) * sizeof(float));
  }

  template <int Heads>
  static void logits(std::int64_t depth, std::int64_t n, std::int64_t head, const Memory& memory) {
    const float* queries = memory.queries + head * depth;
    for (std::int64_t c = 0; c < n; c += kRowsTogether) {
      const float* rows = memory.rows + c * depth;
      F sums[Heads][kRowsTogether] = {};
#pragma GCC unroll 2
      for (std::int64_t d = 0; d < depth; d += V::kWidth) {
        F row[kRowsTogether];
#pragma GCC unroll 4
        for (int r = 0; r < kRowsTogether; ++r) row[r] = V::load(rows + r * depth + d);
#pragma GCC unroll 2
        for (int h = 0; h < Heads; ++h) {
          const F query = V::load(queries + h * depth + d);
#pragma GCC unroll 4
          for (int r = 0; r < kRowsTogether; ++r) sums[h][r] += query * row[r];
        }
      }
#pragma GCC unroll 2
      for (int h = 0; h < Heads; ++h)
        V::store_sums(sums[h][0], sums[h][1], sums[h][2], sums[h][3],
                      memory.weights + (head + h) * kBlock + c);
    }
  }

  /// Turns the logits of a head's block into weights; scales the head's sums if the maximum rises.
  static void to_weights(const AttentionTask& task, std::int64_t n, std::int64_t head, const Memory& memory) {
    float* weights = memory.weights + head * kBlock;
    for (std::int64_t c = n; c < kBlock; ++c) weights[c] = 0;
    if (task.softcap != 0)
      for (std::int64_t c = 0; c < kBlock; c += V::kWidth)
        V::store(weights + c, V::capped(V::load(weights + c), task.softcap));
    for (std::int64_t c = n; c < kBlock; ++c) weights[c] = -__builtin_inff();
    F top = V::load(weights);
    for (std::int64_t c = V::kWidth; c < kBlock; c += V::kWidth) top = V::maximum(V::load(weights + c), top);
    float maximum = memory.maximum[head];
    for (int i = 0; i < V::kWidth; ++i) maximum = top[i] > maximum ? top[i] : maximum;
    if (maximum > memory.maximum[head]) {
      const float factor = power(memory.maximum[head] - maximum);
      memory.maximum[head] = maximum;
      memory.total[head] *= factor;
      float* values = memory.values + head * task.depth;
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth)
        V::store(values + d, V::load(values + d) * V::all(factor));
    }
    F total{};
    for (std::int64_t c = 0; c < kBlock; c += V::kWidth) {
      const F logit = V::load(weights + c);
      const F weight = V::template exp2<5>(logit - V::all(maximum));
      // The weight is exactly 0 beyond the last cell, and NaN for a logit that is NaN.
      const F shown = (F)((typename V::I)weight & (logit != V::all(-__builtin_inff())));
      V::store(weights + c, shown);
      total += shown;
    }
    for (int i = 0; i < V::kWidth; ++i) memory.total[head] += total[i];
  }

  template <int Heads>
  static void add_values(std::int64_t depth, std::int64_t n, std::int64_t head, const Memory& memory) {
    std::int64_t d = 0;
    for (; d + 4 * V::kWidth <= depth; d += 4 * V::kWidth) add_columns<Heads, 4>(depth, n, head, d, memory);
    for (; d < depth; d += V::kWidth) add_columns<Heads, 1>(depth, n, head, d, memory);
  }

  template <int Heads, int Columns>
  static void add_columns(std::int64_t depth, std::int64_t n, std::int64_t head, std::int64_t d,
                          const Memory& memory) {
    const float* weights = memory.weights + head * kBlock;
    float* values = memory.values + head * depth + d;
    F sums[Heads][Columns];
#pragma GCC unroll 2
    for (int h = 0; h < Heads; ++h)
#pragma GCC unroll 4
      for (int i = 0; i < Columns; ++i) sums[h][i] = V::load(values + h * depth + i * V::kWidth);
    const float* row = memory.rows + d;
    for (std::int64_t c = 0; c < n; ++c, row += depth) {
      F part[Columns];
#pragma GCC unroll 4
      for (int i = 0; i < Columns; ++i) part[i] = V::load(row + i * V::kWidth);
#pragma GCC unroll 2
      for (int h = 0; h < Heads; ++h) {
        const F weight = V::all(weights[h * kBlock + c]);
#pragma GCC unroll 4
        for (int i = 0; i < Columns; ++i) sums[h][i] += weight * part[i];
      }
    }
#pragma GCC unroll 2
    for (int h = 0; h < Heads; ++h)
#pragma GCC unroll 4
      for (int i = 0; i < Columns; ++i) V::store(values + h * depth + i * V::kWidth, sums[h][i]);
  }

  static float* part_of(const DecodeAttentionTask& work, const PartSums& part_sums, std::int64_t part,
                        std::int64_t head) {
    return part_sums.sums + (part * work.task.n_head + head) * (2 + work.task.depth);
  }

  static void keep(const DecodeAttentionTask& work, const PartSums& part_sums, std::int64_t part,
                   std::int64_t kv_head, const Memory& memory) {
    const std::int64_t group = group_of(work.task), depth = work.task.depth;
    for (std::int64_t h = 0; h < group; ++h) {
      float* to = part_of(work, part_sums, part, kv_head * group + h);
      to[0] = memory.maximum[h];
      to[1] = memory.total[h];
      std::memcpy(to + 2, memory.values + h * depth, std::size_t(depth) * sizeof(float));
    }
  }

  /// Computes the output rows of a query's heads from all its parts, in their order.
  static void join(const DecodeAttentionTask& work, const PartSums& part_sums, std::int64_t query,
                   std::int64_t kv_head) {
    const AttentionTask& task = work.task;
    const std::int64_t group = group_of(task), begin = work.first_parts[query],
                       end = work.first_parts[query + 1];
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      float maximum = task.sinks == nullptr ? -1e30f : task.sinks[head] * kLog2e;
      for (std::int64_t p = begin; p < end; ++p) {
        const float x = part_of(work, part_sums, p, head)[0];
        maximum = x > maximum ? x : maximum;
      }
      float total = task.sinks == nullptr ? 0 : power(task.sinks[head] * kLog2e - maximum);
      float* row =
          numbers(task.out + task.out_head * std::size_t(head) + task.out_query * std::size_t(query));
      for (std::int64_t d = 0; d < task.depth; ++d) row[d] = 0;
      for (std::int64_t p = begin; p < end; ++p) {
        const float* part = part_of(work, part_sums, p, head);
        const float factor = power(part[0] - maximum);
        total += part[1] * factor;
        for (std::int64_t d = 0; d < task.depth; ++d) row[d] += part[2 + d] * factor;
      }
      const float factor = total != 0 ? 1 / total : 0.0f;  // a query that sees nothing gets 0
      for (std::int64_t d = 0; d < task.depth; ++d) row[d] *= factor;
    }
  }

  static float power(float x) {
    return V::template exp2<5>(V::all(x))[0];
  }
};

template <class V>
DecodeAttentionKernel decode_attention_kernel(const char* name) {
  return {name, &DecodeAttention<V>::thread_bytes, &DecodeAttention<V>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
