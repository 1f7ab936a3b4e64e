#pragma once

#include "kernels/attention_strips.h"

namespace chunkkv::kernels {
namespace {

/// Adds up the attention that the cells of a block receive from the queries of one head, strip by strip. For
/// arithmetic in steps the logits of the next strip are computed while a strip is added up.
template <class A>
class StripSums {
  using V = typename A::Vector;
  using F = typename V::F;
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  explicit StripSums(const Item& item) : item_(item) {}

  /// Takes the queries of a tile, which are packed into the item's memory.
  void start(std::int64_t tile) {
    const AttentionTask& task = item_.task;
    tile_ = tile;
    Work::pack_queries(item_, tile, item_.memory.queries);
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const auto lane = item_.lane(tile, i);
      const float* known = task.statistics + 2 * (lane.head * task.n_queries + lane.token);
      maximum_[i] = known[0];
      factor_[i] = lane.is_real ? known[1] : 0;  // the last query is repeated, but counts once
    }
  }

  /// Takes a strip: the cells from `begin` to `end` of the block that starts at `cell`.
  void take(std::int64_t cell, std::int64_t begin, std::int64_t end) {
    Strip& next = strips_[turn_];
    Work::find_view(item_, tile_, cell, begin, end, next.view);
    if (next.view.high == 0) return;
    next.begin = begin;
    next.end = end;
    next.logits = item_.memory.logits;
    std::memcpy(next.maximum, maximum_, sizeof maximum_);
    std::memcpy(next.factor, factor_, sizeof factor_);
    if constexpr (A::kHasSteps) {
      const std::int64_t depth = item_.task.depth;
      next.logits += turn_ * A::strip(depth) * kLanes;
      logits_ = {item_.memory.queries,  item_.memory.keys,      depth,
                 begin + next.view.low, begin + next.view.high, next.logits};
      finish();
      turn_ = 1 - turn_;
      now_ = &next;
    } else {
      A::logits(item_.memory.queries, item_.memory.keys, item_.task.depth, begin + next.view.low,
                begin + next.view.high, next.logits);
      add(next);
    }
  }

  /// Adds up the strip whose logits are ready, and computes all that is left of the next one's.
  void finish() {
    if constexpr (A::kHasSteps) {
      if (now_ != nullptr) add(*now_);
      now_ = nullptr;
      do_all(logits_);
    }
  }

 private:
  struct Strip {
    std::int64_t begin, end;
    float* logits;
    float maximum[kLanes], factor[kLanes];  ///< of the tile's queries
    typename Work::View view;
  };

  void add(const Strip& strip) {
    const typename Work::View& view = strip.view;
    if (item_.task.softcap != 0) Softmax<A>::cap(strip.logits, view.high - view.low, item_.task.softcap);
    if (!view.all) Softmax<A>::hide(strip.logits, view.low, view.high, view.words);
    F maximum[A::kColumns], factor[A::kColumns];
    for (int c = 0; c < A::kColumns; ++c) {
      maximum[c] = V::load(strip.maximum + c * V::kWidth);
      factor[c] = V::load(strip.factor + c * V::kWidth);
    }
    const float* row = strip.logits;
    float* total = item_.memory.totals + (strip.begin + view.low) * V::kWidth;
    // The last unit of keys may reach beyond the block.
    const std::int64_t n = min_of(view.high, strip.end - strip.begin) - view.low;
    const auto add_row = [&](int) __attribute__((always_inline)) {
      F sum = V::load(total);
#pragma GCC unroll 4
      for (int i = 0; i < A::kColumns; ++i)
        sum += Softmax<A>::weight_of(V::load(row + i * V::kWidth), maximum[i]) * factor[i];
      V::store(total, sum);
      row += kLanes;
      total += V::kWidth;
    };
    Pace pace(logits_.left(), n / 4);
    std::int64_t c = 0;
    for (; c + 4 <= n; c += 4) {
      std::int64_t due = pace.next();
      const bool has_step = due > 0 && logits_.left() > 0;
      do_between(add_row, has_step, logits_);
      for (; due > 1; --due)
        if (logits_.left() > 0) do_step(logits_);
    }
    for (; c < n; ++c) add_row(0);
  }

  const Item& item_;
  std::int64_t tile_ = 0;
  float maximum_[kLanes], factor_[kLanes];  // of the tile's queries
  Strip strips_[2];
  Strip* now_ = nullptr;  // the strip whose logits are ready
  int turn_ = 0;          // which of the two strips, with its logits, comes next
  typename A::Logits logits_;
};

/// The attention that each cell receives, by head: from logits computed again and each query's statistics.
template <class A>
class AttentionSums {
 public:
  static void run(const AttentionTask& task, const QueryList& queries, int n_threads, char* own,
                  std::atomic<std::int64_t>& next, float* out) {
    [[maybe_unused]] const typename A::Scope scope;
    const std::int64_t block = A::block(task.depth), n_blocks = (task.n_cells + block - 1) / block;
    const Memory memory(task, Work::chunk_of(task, n_threads), own);
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_blocks * task.n_head_kv;)
      compute({.task = task,
               .memory = memory,
               .kv_head = i % task.n_head_kv,
               .first = queries.first,
               .count = queries.count,
               .stride = queries.stride,
               .by_head = true,
               .may_repeat = true},
              i / task.n_head_kv * block, out);
  }

 private:
  using V = typename A::Vector;
  using Work = AttentionWork<A>;
  using Memory = typename Work::Memory;
  using Item = typename Work::Item;

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
      if (seen) {
        StripSums<A> sums(item);
        for (std::int64_t tile = h * item.tiles_of_head(); tile < (h + 1) * item.tiles_of_head(); ++tile) {
          sums.start(tile);
          for (std::int64_t s = 0; s < n; s += strip) sums.take(cell, s, min_of(s + strip, n));
        }
        sums.finish();
      }
      float* to = out + (item.kv_head * item.group() + h) * task.n_cells + cell;
      std::memset(to, 0, std::size_t(n) * sizeof(float));
      add_sums<V>(totals, n, to);
    }
  }
};

}  // namespace
}  // namespace chunkkv::kernels
