#pragma once

#include "kernels/attention_strips.h"

#include <type_traits>

namespace chunkkv::kernels {
namespace {

/// Attention for many queries, in the arithmetic `A`. Keys and values are packed block by block, and
/// each block serves all tiles of an item. A block is taken in strips of cells: the maximum is updated
/// once a strip.
template <class A>
class Attention {
  using Work = AttentionWork<A>;
  using Memory = typename Work::Memory;
  using Item = typename Work::Item;
  using Strips = std::conditional_t<A::kHasSteps, OverlappedStrips<A>, StripsInTurn<A>>;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  static std::size_t thread_bytes(const AttentionTask& task, int n_threads) {
    return Memory(task, chunk_of(task, n_threads), nullptr).bytes;
  }

  static void run(const AttentionTask& task, int n_threads, char* own, std::atomic<std::int64_t>& next) {
    [[maybe_unused]] const typename A::Scope scope;
    const std::int64_t chunk = chunk_of(task, n_threads);
    const std::int64_t n_chunks = (task.n_queries + chunk - 1) / chunk;
    const Memory memory(task, chunk, own);
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_chunks * task.n_head_kv;) {
      // The last tokens come first: under a causal mask they see the most cells.
      const std::int64_t first = (n_chunks - 1 - i / task.n_head_kv) * chunk;
      compute({.task = task,
               .memory = memory,
               .kv_head = i % task.n_head_kv,
               .first = first,
               .count = min_of(chunk, task.n_queries - first)});
    }
  }

  /// The number of tokens in an item.
  static std::int64_t chunk_of(const AttentionTask& task, int n_threads) {
    const std::int64_t group = task.n_head / task.n_head_kv;
    // Items fill whole tiles, and each thread gets several.
    std::int64_t unit = kLanes;
    for (std::int64_t g = group; g % 2 == 0 && unit > 1; g /= 2) unit /= 2;
    if (unit % 3 == 0 && group % 3 == 0) unit /= 3;
    std::int64_t chunks = (task.n_queries * group + A::kItemLanes - 1) / A::kItemLanes;
    const std::int64_t wanted = (3 * std::int64_t(n_threads) + task.n_head_kv - 1) / task.n_head_kv;
    if (chunks < wanted) chunks = min_of(wanted, (task.n_queries * group + kLanes - 1) / kLanes);
    const std::int64_t even = (task.n_queries + chunks - 1) / chunks;
    return (even + unit - 1) / unit * unit;
  }

 private:
  static void compute(const Item& item) {
    const AttentionTask& task = item.task;
    if constexpr (A::kCentresKeys) Work::find_mean(item);
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) start(item, tile);
    const std::int64_t block = A::block(task.depth);
    for (std::int64_t cell = 0; cell < task.n_cells; cell += block) {
      const std::int64_t n = min_of(block, task.n_cells - cell);
      if (!Work::is_seen(item, cell, n)) continue;
      Work::pack_keys(item, cell, n);
      if (task.out != nullptr)
        A::pack_values(task.v + task.v_head * std::size_t(item.kv_head) + task.v_cell * std::size_t(cell),
                       task.v_cell, n, task.depth, task.seen_by_any + cell / 32, item.memory.values);
      Strips strips(item);
      for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile)
        for (std::int64_t s = 0; s < n; s += A::strip(task.depth))
          strips.take(queries_of(item, tile), tile, cell, s, min_of(s + A::strip(task.depth), n));
      strips.finish();
    }
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) finish(item, tile);
  }

  static char* queries_of(const Item& item, std::int64_t tile) {
    return item.memory.queries + std::size_t(tile) * A::query_bytes(item.task.depth);
  }

  static void start(const Item& item, std::int64_t tile) {
    const AttentionTask& task = item.task;
    Work::pack_queries(item, tile, queries_of(item, tile));
    const TileSums sums = item.memory.tile(tile, task.depth);
    for (std::int64_t i = 0; i < kLanes; ++i) {
      sums.maximum[i] = -1e30f;
      sums.weight[i] = 0;
      if (task.sinks == nullptr) continue;
      // The sink counts as the first cell. As from all other logits, the mean key's is subtracted.
      float sink = task.sinks[item.lane(tile, i).head] * Work::kLog2e;
      if constexpr (A::kCentresKeys)
        for (std::int64_t d = 0; d < task.depth; ++d)
          sink -= item.memory.columns[d * kLanes + i] * item.memory.mean[d];
      sums.maximum[i] = sink;
      sums.weight[i] = 1;
    }
    for (std::int64_t i = 0; i < task.depth * kLanes; ++i) sums.values[i] = 0;
  }

  static void finish(const Item& item, std::int64_t tile) {
    const AttentionTask& task = item.task;
    const TileSums sums = item.memory.tile(tile, task.depth);
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const auto lane = item.lane(tile, i);
      if (!lane.is_real) return;
      const float weight = sums.weight[i];
      const float factor = weight != 0 ? 1 / weight : 0.0f;  // a query that sees nothing gets 0
      if (task.statistics != nullptr) {
        float* to = task.statistics + 2 * (lane.head * task.n_queries + lane.token);
        to[0] = sums.maximum[i];
        to[1] = factor;
      }
      if (task.out == nullptr) continue;
      float* row = numbers(task.out + task.out_head * std::size_t(lane.head) +
                           task.out_query * std::size_t(lane.token));
      for (std::int64_t d = 0; d < task.depth; ++d)
        row[d] = sums.values[d * kLanes + i] * (factor * A::kValueUnit);
    }
  }
};

/// The attention that each cell receives, by head: from logits computed again and each query's statistics.
template <class A>
class AttentionSums {
 public:
  static void run(const AttentionTask& task, const QueryList& queries, int n_threads, char* own,
                  std::atomic<std::int64_t>& next, float* out) {
    [[maybe_unused]] const typename A::Scope scope;
    const std::int64_t block = A::block(task.depth), n_blocks = (task.n_cells + block - 1) / block;
    const Memory memory(task, Attention<A>::chunk_of(task, n_threads), own);
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_blocks * task.n_head_kv;)
      compute({.task = task,
               .memory = memory,
               .kv_head = i % task.n_head_kv,
               .first = queries.first,
               .count = queries.count,
               .stride = queries.stride,
               .by_head = true},
              i / task.n_head_kv * block, out);
  }

 private:
  using V = typename A::Vector;
  using F = typename V::F;
  using Work = AttentionWork<A>;
  using Memory = typename Work::Memory;
  using Item = typename Work::Item;
  static constexpr std::int64_t kLanes = A::kLanes;

  /// Computes the sums of one block of cells.
  static void compute(const Item& item, std::int64_t cell, float* out) {
    const AttentionTask& task = item.task;
    const std::int64_t n = min_of(A::block(task.depth), task.n_cells - cell), strip = A::strip(task.depth);
    const bool seen = Work::is_seen(item, cell, n);
    if (seen) {
      if constexpr (A::kCentresKeys) Work::find_mean(item);
      Work::pack_keys(item, cell, n);
    }
    float* totals = item.memory.totals;
    for (std::int64_t h = 0; h < item.group(); ++h) {
      for (std::int64_t c = 0; c < n * V::kWidth; ++c) totals[c] = 0;
      for (std::int64_t tile = h * item.tiles_of_head(); seen && tile < (h + 1) * item.tiles_of_head();
           ++tile) {
        Work::pack_queries(item, tile, item.memory.queries);
        for (std::int64_t s = 0; s < n; s += strip) step(item, tile, cell, s, min_of(s + strip, n));
      }
      float* to = out + (item.kv_head * item.group() + h) * task.n_cells + cell;
      for (std::int64_t c = 0; c < n; c += 4) {
        const float* four = totals + c * V::kWidth;
        float sums[4];
        V::store_sums(V::load(four), V::load(four + V::kWidth), V::load(four + 2 * V::kWidth),
                      V::load(four + 3 * V::kWidth), sums);
        for (std::int64_t i = 0; i < min_of(4, n - c); ++i) to[c + i] = sums[i];
      }
    }
  }

  static void step(const Item& item, std::int64_t tile, std::int64_t cell, std::int64_t begin,
                   std::int64_t end) {
    typename Work::View view;
    Work::find_view(item, tile, cell, begin, end, view);
    if (view.high == 0) return;
    Work::logits(item, item.memory.queries, begin, view);
    if (!view.all) Softmax<A>::hide(item.memory.logits, view.low, view.high, view.words);
    float maximum[kLanes], factor[kLanes];
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const auto lane = item.lane(tile, i);
      const float* known = item.task.statistics + 2 * (lane.head * item.task.n_queries + lane.token);
      maximum[i] = known[0];
      factor[i] = known[1];
    }
    const float* row = item.memory.logits;
    float* total = item.memory.totals + (begin + view.low) * V::kWidth;
    // The last unit of keys may reach beyond the block.
    const std::int64_t high = min_of(view.high, end - begin);
    for (std::int64_t c = view.low; c < high; ++c, row += kLanes, total += V::kWidth) {
      F sum = V::load(total);
      for (int i = 0; i < A::kColumns; ++i)
        sum += Softmax<A>::template weight_of<true>(V::load(row + i * V::kWidth),
                                                    V::load(maximum + i * V::kWidth)) *
               V::load(factor + i * V::kWidth);
      V::store(total, sum);
    }
  }
};

template <class A>
AttentionKernel attention_kernel(const char* name) {
  return {name, &Attention<A>::thread_bytes, &Attention<A>::run, &AttentionSums<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
