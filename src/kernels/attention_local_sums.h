#pragma once

#include "kernels/attention_work.h"

namespace chunkkv::kernels {
namespace {

/// Computes the sums of each query's weights over its local cells, the last that it sees, for `Received`.
template <class A>
class LocalSums {
  using V = typename A::Vector;
  using F = typename V::F;
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  using Tile = ReceivedTile<A>;
  using Sums = LaneSums<A>;
  static constexpr std::int64_t kLanes = A::kLanes;
  static constexpr std::int64_t kLocalCells = 256;

 public:
  explicit LocalSums(const Item& item)
      : item_(item), tiles_(item.memory.received.tiles), strip_(A::strip(item.task.depth)) {}

  void run() {
    const AttentionTask& task = item_.task;
    const std::int64_t block = A::block(task.depth);
    std::int64_t first = task.n_cells;
    for (std::int64_t tile = 0; tile < item_.n_tiles(); ++tile) {
      start(tile);
      first = min_of(first, tiles_[tile].local_begin);
    }
    for (std::int64_t cell = first / block * block; cell < task.n_cells; cell += block) {
      const std::int64_t n = min_of(block, task.n_cells - cell);
      if (!Work::is_seen(item_, cell, n)) continue;
      Work::pack_keys(item_, cell, n);
      for (std::int64_t tile = 0; tile < item_.n_tiles(); ++tile) take(tile, cell, n);
    }
    for (std::int64_t tile = 0; tile < item_.n_tiles(); ++tile) {
      Tile& t = tiles_[tile];
      add(t.rest, t.local);
      const TileSums sums = item_.memory.tile(tile, task.depth);  // a sink, if there is one
      std::memcpy(t.all.maximum, sums.maximum, sizeof t.all.maximum);
      std::memcpy(t.all.sum, sums.weight, sizeof t.all.sum);
      add(t.local, t.all);
    }
  }

 private:
  void start(std::int64_t tile) {
    Tile& t = tiles_[tile];
    t.local_end = end_of_view(tile);
    t.local_begin = t.local_end > kLocalCells ? (t.local_end - kLocalCells) / 32 * 32 : 0;
    t.rest_begin = (t.local_begin + strip_ - 1) / strip_ * strip_;
    for (std::int64_t i = 0; i < kLanes; ++i) {
      t.local.maximum[i] = t.rest.maximum[i] = kNoMaximum;
      t.local.sum[i] = t.rest.sum[i] = 0;
    }
  }

  /// One past the last cell that a tile's last query sees.
  std::int64_t end_of_view(std::int64_t tile) const {
    const AttentionTask& task = item_.task;
    const std::int64_t token = item_.lane(tile, kLanes - 1).token;
    for (std::int64_t group = (task.n_cells + 31) / 32; group-- > 0;)
      if (const std::uint32_t word = task.visible[group * task.n_queries + token]; word != 0)
        return 32 * group + 32 - __builtin_clz(word);
    return 0;
  }

  /// Takes the local cells of a tile that lie in the block of `n` cells at `cell`, strip by strip.
  void take(std::int64_t tile, std::int64_t cell, std::int64_t n) {
    Tile& t = tiles_[tile];
    const char* queries = item_.memory.queries_of(tile, item_.task.depth);
    const std::int64_t last = min_of(t.local_end - cell, n);
    for (std::int64_t begin = t.local_begin > cell ? t.local_begin - cell : 0, end; begin < last;
         begin = end) {
      end = min_of(begin / strip_ * strip_ + strip_, last);
      typename Work::View view;
      Work::find_view(item_, tile, cell, begin, end, view);
      if (view.high == 0) continue;
      Work::logits(item_, queries, begin, view);
      if (!view.all) Softmax<A>::hide(item_.memory.logits, view.low, view.high, view.words);
      add_weights(view.high - view.low, cell + begin < t.rest_begin ? t.local : t.rest);
    }
  }

  /// Adds the weights of `n` cells, whose logits are computed.
  void add_weights(std::int64_t n, Sums& sums) {
    const float *logits = item_.memory.logits, *end = logits + n * kLanes;
    F old[A::kColumns], top[A::kColumns], sum[A::kColumns];
    for (int c = 0; c < A::kColumns; ++c) old[c] = top[c] = V::load(sums.maximum + c * V::kWidth);
    for (const float* row = logits; row < end; row += kLanes)
#pragma GCC unroll 4
      for (int c = 0; c < A::kColumns; ++c) top[c] = V::maximum(V::load(row + c * V::kWidth), top[c]);
    for (int c = 0; c < A::kColumns; ++c)
      sum[c] = V::load(sums.sum + c * V::kWidth) * V::template exp2<3>(old[c] - top[c]);
    for (const float* row = logits; row < end; row += kLanes)
#pragma GCC unroll 4
      for (int c = 0; c < A::kColumns; ++c)
        sum[c] += V::template exp2<3>(V::load(row + c * V::kWidth) - top[c]);
    for (int c = 0; c < A::kColumns; ++c) {
      V::store(sums.maximum + c * V::kWidth, top[c]);
      V::store(sums.sum + c * V::kWidth, sum[c]);
    }
  }

  static void add(const Sums& more, Sums& sums) {
    for (std::int64_t i = 0; i < kLanes; i += V::kWidth) {
      const F one = V::load(sums.maximum + i), two = V::load(more.maximum + i), top = V::maximum(one, two);
      V::store(sums.sum + i, V::load(sums.sum + i) * V::template exp2<5>(one - top) +
                                 V::load(more.sum + i) * V::template exp2<5>(two - top));
      V::store(sums.maximum + i, top);
    }
  }

  const Item& item_;
  ReceivedTile<A>* tiles_;
  std::int64_t strip_;
};

}  // namespace
}  // namespace chunkkv::kernels
