#pragma once

#include "kernels/attention_finite_values.h"
#include "kernels/attention_strips.h"
#include "kernels/attention_sums_shape.h"

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
  static std::int64_t n_parts(const AttentionTask& task, int n_threads) {
    const std::int64_t chunk = Work::chunk_of(task, n_threads, true);
    return (task.n_queries + chunk - 1) / chunk;
  }
  static std::size_t thread_bytes(const AttentionTask& task, int n_threads) {
    return Memory(task, Work::chunk_of(task, n_threads), nullptr).bytes;
  }

  static void run(const AttentionTask& task, int n_threads, char* own, std::atomic<std::int64_t>& next) {
    [[maybe_unused]] const typename A::Scope scope;
    const std::int64_t chunk = Work::chunk_of(task, n_threads);
    const std::int64_t n_chunks = (task.n_queries + chunk - 1) / chunk;
    const Memory memory(task, chunk, own);
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_chunks * task.n_head_kv;) {
      // The last tokens come first: under a causal mask they see the most cells.
      const std::int64_t first = (n_chunks - 1 - i / task.n_head_kv) * chunk;
      compute({.task = task,
               .memory = memory,
               .kv_head = i % task.n_head_kv,
               .first = first,
               .count = min_of(chunk, task.n_queries - first),
               .by_head = task.received != nullptr,
               .shares_rest = task.received != nullptr},
              first / chunk);
    }
  }

 private:
  static void compute(const Item& item, std::int64_t part) {
    if constexpr (A::kCentresKeys) Work::find_mean(item);
    const AttentionTask& task = item.task;
    add_up(item, task.received != nullptr ? task.received + part * task.n_head * task.n_cells : nullptr);
    if (finish(item) || !FiniteValues<A>::find(item)) return;
    Item again = item;
    again.only_finite = true;
    add_up(again, nullptr);
    finish(again);
  }

  /// Computes the sums of all tiles and, unless it is null, `out`: the attention that cells receive.
  static void add_up(const Item& item, float* out) {
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) start(item, tile);
    if (out == nullptr) return compute_strips(item, nullptr);
    Received<A> received(item, out);
    compute_strips(item, &received);
    received.finish();
  }

  static void compute_strips(const Item& item, Received<A>* received) {
    const StripOrder<A> order(item);
    const std::int64_t block = A::block(item.task.depth);
    for (int phase = 0; phase < kPhases; ++phase)
      for (std::int64_t cell = 0; cell < item.task.n_cells; cell += block) {
        const StripTurn<A> turn{order, Phase(phase)};
        const auto [begin, end] = order.range(turn.phase, cell, min_of(block, item.task.n_cells - cell));
        if (end > begin && Work::is_seen(item, cell + begin, end - begin))
          compute_block(item, turn, cell + begin, end - begin, received);
      }
  }

  /// Takes the strips of the `n` cells from `cell` on whose turn it is.
  static void compute_block(const Item& item, const StripTurn<A>& turn, std::int64_t cell, std::int64_t n,
                            Received<A>* received) {
    const AttentionTask& task = item.task;
    Work::pack_keys(item, cell, n);
    if (task.out != nullptr)
      A::pack_values(task.v + task.v_head * std::size_t(item.kv_head) + task.v_cell * std::size_t(cell),
                     task.v_cell, n, task.depth,
                     (item.only_finite ? item.memory.finite_values : task.seen_by_any) + cell / 32,
                     item.memory.values);
    Strips strips(item, turn, received);
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile)
      for (std::int64_t s = 0; s < n; s += A::strip(task.depth))
        strips.take(item.memory.queries_of(tile, task.depth), tile, cell, s,
                    min_of(s + A::strip(task.depth), n));
    strips.finish();
    if (received != nullptr) received->end_block(cell, n);
  }

  static void start(const Item& item, std::int64_t tile) {
    const AttentionTask& task = item.task;
    Work::pack_queries(item, tile, item.memory.queries_of(tile, task.depth));
    const TileSums sums = item.memory.tile(tile, task.depth);
    for (std::int64_t i = 0; i < kLanes; ++i) {
      sums.maximum[i] = kNoMaximum;
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

  /// Returns whether all values are finite: without `out` they are 0.
  static bool finish(const Item& item) {
    bool are_finite = true;
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) {
      finish(item, tile);
      are_finite = are_finite && FiniteValues<A>::are_sums(item, item.memory.tile(tile, item.task.depth));
    }
    return are_finite;
  }
  static void finish(const Item& item, std::int64_t tile) {
    const AttentionTask& task = item.task;
    const TileSums sums = item.memory.tile(tile, task.depth);
    float factors[kLanes] = {};
    float* rows[kLanes];
    std::int64_t n = 0;  // lanes of queries
    for (; n < kLanes; ++n) {
      const auto lane = item.lane(tile, n);
      if (!lane.is_real) break;
      const float weight = sums.weight[n];
      const float factor = weight != 0 ? 1 / weight : 0.0f;  // a query that sees nothing gets 0
      if (task.statistics != nullptr) {
        float* to = task.statistics + 2 * (lane.head * task.n_queries + lane.token);
        to[0] = sums.maximum[n];
        to[1] = factor;
      }
      factors[n] = factor * A::kValueUnit;
      if (item.only_finite && !FiniteValues<A>::are_seen_by(item, lane.token))
        rows[n] = item.memory.columns;  // stays as it was
      else if (task.out != nullptr)
        rows[n] = numbers(task.out + task.out_head * std::size_t(lane.head) +
                          task.out_query * std::size_t(lane.token));
    }
    if (task.out != nullptr) store_rows(sums.values, task.depth, factors, rows, n);
  }

  /// Stores the values of `n` lanes, [depth][lanes], each multiplied by the lane's factor, in a row for each
  /// lane.
  static void store_rows(const float* values, std::int64_t depth, const float* factors, float* const* rows,
                         std::int64_t n) {
    using V = typename A::Vector;
    for (std::int64_t d = 0; d < depth; d += 4, values += 4 * kLanes)
      for (std::int64_t first = 0; first < n; first += V::kWidth) {
        const float* from = values + first;
        const typename V::F factor = V::load(factors + first);
        float four[V::kWidth][4];
        V::store_columns(V::load(from) * factor, V::load(from + kLanes) * factor,
                         V::load(from + 2 * kLanes) * factor, V::load(from + 3 * kLanes) * factor, four[0],
                         4);
        for (std::int64_t i = 0; i < min_of(V::kWidth, n - first); ++i)
          std::memcpy(rows[first + i] + d, four[i], sizeof four[i]);
      }
  }
};

template <class A>
AttentionKernel attention_kernel(const char* name) {
  return {name, &Attention<A>::n_parts, &Attention<A>::thread_bytes, &Attention<A>::run,
          &AttentionSums<A>::run};
}

}  // namespace
}  // namespace chunkkv::kernels
