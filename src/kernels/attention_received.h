#pragma once

#include "kernels/attention_order.h"

namespace chunkkv::kernels {
namespace {

/// Adds up the attention that cells receive from an item's queries while it is computed.
///
/// A query's weights are to be divided by the sum of all of them, which is known only at its last cell. The
/// first and the local strips come first (`StripOrder`), and their weights are kept until the sum is known.
/// Those of the other strips are divided by the sum so far, or by that of some strips before
/// (`Softmax::settle`). In the end each strip of a head is multiplied by what the queries pay to it over what
/// was counted. So a strip as a whole receives what it should; only the shares of its cells are as good as
/// the sums so far.
template <class A>
class Received {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  using Taken = TakenStrip<A>;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  /// `out`: [n_head][n_cells].
  Received(const Item& item, float* out)
      : item_(item), memory_(item.memory.received), strip_(A::strip(item.task.depth)), out_(out) {
    for (std::int64_t h = 0; h < item.group(); ++h)
      std::memset(row_of(h), 0, std::size_t(item.task.n_cells) * sizeof(float));
    std::memset(memory_.totals, 0, std::size_t(item.group()) * totals_bytes());
    std::memset(memory_.factors, 0, A::kFactorBytes);
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) {
      Tile& t = memory_.tiles[tile];
      t.n_taken = t.n_summed = t.n_kept = 0;
      add_taken(tile, -1, false);  // stands for the sink, if there is one
      add_sums(tile);
    }
  }

  /// Must be called before each strip that is taken of a tile: the one at `begin` of the block at `cell`.
  /// Returns where its weights are to be stored, if they are kept; else null.
  char* keep(std::int64_t tile, Phase phase, std::int64_t cell, std::int64_t begin,
             const typename Work::View& view) {
    Tile& t = memory_.tiles[tile];
    const std::int64_t strip = (cell + begin) / strip_;
    const bool is_kept = phase != kOtherStrips && t.n_kept < Tile::kMostKept;
    add_taken(tile, strip, is_kept);
    if (!is_kept) return nullptr;
    t.kept[t.n_kept] = {strip, cell + begin + view.low, view.high - view.low, t.n_taken - 1};
    return weights_of(tile, t.n_kept++);
  }

  /// Must be called in the same order when the tile has the strip's sums. Returns whether its weights are
  /// kept; else they are to be added up.
  bool after(std::int64_t tile) { return add_sums(tile).is_kept; }

  /// Adds the weights of `n` cells, from the cell `first` on of the strip at `begin` of the block, divided by
  /// the sums so far.
  void add(std::int64_t tile, const char* weights, std::int64_t begin, std::int64_t first, std::int64_t n) {
    const TileSums sums = sums_of(tile);
    for_heads(tile, [&](std::int64_t h, Lanes lanes) {
      float factors[kLanes];
      for (std::int64_t i = 0; i < kLanes; i += V::kWidth)
        V::store(factors + i, ratio(V::all(1.0f), V::load(sums.weight + i)));
      add_weights(weights, factors, lanes, first, n, totals_of(h, begin));
    });
  }

  /// Where the cells of the strip at `begin` of a block are added up for the head whose tile it is; null if
  /// heads share the tile.
  float* totals_of_tile(std::int64_t tile, std::int64_t begin) const {
    return item_.is_shared(tile) ? nullptr : totals_of(tile / item_.tiles_of_head(), begin);
  }

  /// Ends a block: takes the sums of its cells, `n` from `cell` on.
  void end_block(std::int64_t cell, std::int64_t n) {
    for (std::int64_t h = 0; h < item_.group(); ++h) {
      float* totals = memory_.totals + h * A::block(item_.task.depth);
      A::add_totals(totals, n, row_of(h) + cell);
      std::memset(totals, 0, totals_bytes());
    }
  }

  /// Ends the item, whose tiles have all their sums.
  void finish() {
    for (std::int64_t h = 0; h < item_.group(); ++h) {
      correct(h);
      for (std::int64_t strip = next_kept(h, -1); strip < memory_.n_strips; strip = next_kept(h, strip))
        add_kept(h, strip);
    }
  }

 private:
  using Tile = ReceivedTile;

  /// Lanes of a tile, from `begin` to `end`.
  struct Lanes {
    std::int64_t begin, end;
  };
  /// The lanes of a shared tile that are of head `h` of the group; `end` is not beyond `begin` if none is.
  Lanes shared_lanes(std::int64_t h, std::int64_t tile) const {
    const std::int64_t rest = item_.rest_of(tile), n = item_.n_rest();
    return {max_of(0, h * n - rest), min_of(kLanes, (h + 1) * n - rest)};
  }
  /// Calls act(h, lanes) for the heads of the group that have lanes of a tile.
  template <class Act>
  CHUNKKV_INLINE void for_heads(std::int64_t tile, const Act& act) const {
    if (!item_.is_shared(tile)) return act(tile / item_.tiles_of_head(), Lanes{0, kLanes});
    for (std::int64_t h = 0; h < item_.group(); ++h)
      if (const Lanes lanes = shared_lanes(h, tile); lanes.begin < lanes.end) act(h, lanes);
  }
  /// Calls act(tile, lanes) for the tiles with lanes of head `h` of the group.
  template <class Act>
  CHUNKKV_INLINE void for_tiles(std::int64_t h, const Act& act) const {
    const std::int64_t own = item_.tiles_of_head(), n_own = item_.group() * own;
    for (std::int64_t tile = h * own; tile < (h + 1) * own; ++tile) act(tile, Lanes{0, kLanes});
    for (std::int64_t tile = n_own; tile < item_.n_tiles(); ++tile)
      if (const Lanes lanes = shared_lanes(h, tile); lanes.begin < lanes.end) act(tile, lanes);
  }

  /// Adds the weights of some lanes, each multiplied by its lane's factor, to `totals`. The factors of other
  /// lanes become 0.
  void add_weights(const char* weights, float* factors, Lanes lanes, std::int64_t first, std::int64_t n,
                   float* totals) const {
    for (std::int64_t i = 0; i < lanes.begin; ++i) factors[i] = 0;
    for (std::int64_t i = lanes.end; i < kLanes; ++i) factors[i] = 0;
    A::pack_factors(factors, memory_.factors);
    A::add_received(weights, memory_.factors, first, n, totals);
  }

  float* totals_of(std::int64_t h, std::int64_t begin) const {
    return memory_.totals + h * A::block(item_.task.depth) + begin;
  }
  std::size_t totals_bytes() const { return std::size_t(A::block(item_.task.depth)) * sizeof(float); }
  float* row_of(std::int64_t h) const {
    return out_ + (item_.kv_head * item_.group() + h) * item_.task.n_cells;
  }
  Taken* taken_by(std::int64_t tile) const { return memory_.taken + tile * memory_.n_taken; }
  char* weights_of(std::int64_t tile, std::int64_t kept) const {
    return memory_.weights +
           std::size_t(tile * Tile::kMostKept + kept) * memory_.strip_bytes(item_.task.depth);
  }
  TileSums sums_of(std::int64_t tile) const { return item_.memory.tile(tile, item_.task.depth); }

  void add_taken(std::int64_t tile, std::int64_t strip, bool is_kept) {
    Taken& taken = taken_by(tile)[memory_.tiles[tile].n_taken++];
    taken.strip = strip;
    taken.is_kept = is_kept;
  }
  /// Stores the sums after the next strip that was taken.
  Taken& add_sums(std::int64_t tile) {
    Taken& taken = taken_by(tile)[memory_.tiles[tile].n_summed++];
    const TileSums sums = sums_of(tile);
    std::memcpy(taken.maximum, sums.maximum, sizeof taken.maximum);
    std::memcpy(taken.sum, sums.weight, sizeof taken.sum);
    return taken;
  }

  /// `x` / `sum`; 0 where the sum is 0.
  static CHUNKKV_INLINE F ratio(F x, F sum) { return (F)((I)(x / sum) & (sum != F{})); }
  /// What weights relative to `maximum` are multiplied by, if all weights are sum 2^top.
  static CHUNKKV_INLINE F share(F maximum, F top, F sum) {
    return ratio(V::template exp2<5>(maximum - top), sum);
  }

  /// Multiplies each strip of head `h` of the group by what it should have received over what it has
  /// received.
  void correct(std::int64_t h) {
    std::memset(memory_.due, 0, std::size_t(memory_.n_strips) * sizeof(F));
    for_tiles(h, [&](std::int64_t tile, Lanes lanes) { add_due(tile, lanes); });
    float* row = row_of(h);
    for (std::int64_t strip = 0; strip < memory_.n_strips; ++strip) {
      const std::int64_t begin = strip * strip_, end = min_of(begin + strip_, item_.task.n_cells);
      F lanes{};
      float has = 0, due = 0;
      std::int64_t c = begin;
      for (; c + V::kWidth <= end; c += V::kWidth) lanes += V::load(row + c);
      for (; c < end; ++c) has += row[c];
      for (int i = 0; i < V::kWidth; ++i) {
        has += lanes[i];
        due += memory_.due[strip * V::kWidth + i];
      }
      if (has == 0) continue;
      for (c = begin; c < end; ++c) row[c] *= due / has;
    }
  }

  /// Adds what the queries of some lanes pay to each strip, but to the kept ones, to memory_.due.
  void add_due(std::int64_t tile, Lanes lanes) {
    const TileSums sums = sums_of(tile);
    const std::int64_t n = memory_.tiles[tile].n_taken;
    for (std::int64_t i = lanes.begin / V::kWidth * V::kWidth; i < lanes.end; i += V::kWidth) {
      F is_own{};
      for (std::int64_t lane = max_of(i, lanes.begin); lane < min_of(i + V::kWidth, lanes.end); ++lane)
        is_own[lane - i] = 1;
      const F top = V::load(sums.maximum + i), sum = V::load(sums.weight + i);
      F before{}, maximum = top, factor = share(top, top, sum);
      for (const Taken* taken = taken_by(tile); taken < taken_by(tile) + n; ++taken) {
        const F then = V::load(taken->maximum + i);
        if (V::any(then != maximum)) {
          maximum = then;
          factor = share(maximum, top, sum);
        }
        const F now = V::load(taken->sum + i) * factor;
        if (taken->strip >= 0 && !taken->is_kept) {
          float* due = memory_.due + taken->strip * V::kWidth;
          V::store(due, V::load(due) + (now - before) * is_own);
        }
        before = now;
      }
    }
  }

  /// The first strip after `strip` that a tile of head `h` of the group has kept.
  std::int64_t next_kept(std::int64_t h, std::int64_t strip) const {
    std::int64_t next = memory_.n_strips;
    for_tiles(h, [&](std::int64_t tile, Lanes) {
      for (std::int64_t i = 0; i < memory_.tiles[tile].n_kept; ++i)
        if (const std::int64_t other = memory_.tiles[tile].kept[i].strip; other > strip)
          next = min_of(next, other);
    });
    return next;
  }

  /// Adds the kept weights of a strip of head `h` of the group.
  void add_kept(std::int64_t h, std::int64_t strip) {
    const std::int64_t begin = strip * strip_;
    for_tiles(h, [&](std::int64_t tile, Lanes lanes) {
      const Tile& t = memory_.tiles[tile];
      for (std::int64_t i = 0; i < t.n_kept; ++i) {
        if (t.kept[i].strip != strip) continue;
        const Taken& then = taken_by(tile)[t.kept[i].taken];
        const TileSums sums = sums_of(tile);
        float factors[kLanes];
        for (std::int64_t c = 0; c < kLanes; c += V::kWidth)
          V::store(factors + c,
                   share(V::load(then.maximum + c), V::load(sums.maximum + c), V::load(sums.weight + c)));
        add_weights(weights_of(tile, i), factors, lanes, t.kept[i].begin - begin, t.kept[i].count,
                    memory_.totals);
      }
    });
    // The last unit of keys may reach beyond the cells.
    A::add_totals(memory_.totals, min_of(strip_, item_.task.n_cells - begin), row_of(h) + begin);
    std::memset(memory_.totals, 0, std::size_t(strip_) * sizeof(float));
  }

  const Item& item_;
  const ReceivedMemory<A>& memory_;
  std::int64_t strip_;
  float* out_;
};

}  // namespace
}  // namespace chunkkv::kernels
