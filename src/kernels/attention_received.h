#pragma once

#include "kernels/attention_local_sums.h"
#include "kernels/attention_work.h"

namespace chunkkv::kernels {
namespace {

/// Adds up the attention that cells receive from an item's queries while it is computed.
///
/// A query's weights are to be divided by the sum of all of them, which is known only at its last cell.
/// Instead they are divided by an estimate: the sum over the strips so far and over the query's local cells,
/// the last ones that it sees, which is computed beforehand. In the end each strip of a head is multiplied by
/// what the queries pay to it over what was counted. So a strip as a whole receives what it should; only the
/// shares of its cells are as good as the estimates. The estimate at the first strip is the worst, and this
/// strip often takes most: its weights are kept, and added when all sums are known.
template <class A>
class Received {
  using V = typename A::Vector;
  using F = typename V::F;
  using I = typename V::I;
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  using Tile = ReceivedTile<A>;
  using Sums = LaneSums<A>;
  static constexpr std::int64_t kLanes = A::kLanes;

 public:
  /// Computes the sums over local cells. `out`: [n_head][n_cells].
  Received(const Item& item, float* out)
      : item_(item), memory_(item.memory.received), strip_(A::strip(item.task.depth)), out_(out) {
    for (std::int64_t h = 0; h < item.group(); ++h)
      std::memset(row_of(h), 0, std::size_t(item.task.n_cells) * sizeof(float));
    std::memset(memory_.totals, 0, std::size_t(item.group()) * totals_bytes());
    std::memset(memory_.factors, 0, A::kFactorBytes);
    LocalSums<A>(item).run();
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) {
      Tile& t = memory_.tiles[tile];
      t.first_begin = t.first_count = 0;
      for (std::int64_t i = 0; i < kLanes; ++i) t.maximum[i] = kNotTaken;
      for (std::int64_t s = 0; s < memory_.n_strips; ++s)
        memory_.so_far[tile * memory_.n_strips + s].maximum[0] = kNotTaken;
    }
  }

  /// Where the weights of a strip of a tile are to be stored, if they are kept; else null. It must be called
  /// for all strips that the tile's queries see, in turn: these see cells from `begin` to `end`.
  char* keep(std::int64_t tile, std::int64_t begin, std::int64_t end) {
    Tile& t = memory_.tiles[tile];
    if (t.first_count != 0) return nullptr;
    t.first_begin = begin;
    t.first_count = end - begin;
    return kept(tile);
  }

  /// Takes a tile's sums after the strip that has `cell`. Returns the factors for its weights; null if these
  /// are kept.
  const char* after(std::int64_t tile, std::int64_t cell) {
    Tile& t = memory_.tiles[tile];
    const TileSums sums = sums_of(tile);
    const std::int64_t strip = cell / strip_, end = (strip + 1) * strip_;
    Sums& so_far = memory_.so_far[tile * memory_.n_strips + strip];
    std::memcpy(so_far.maximum, sums.maximum, sizeof so_far.maximum);
    std::memcpy(so_far.sum, sums.weight, sizeof so_far.sum);
    const bool grows = end <= t.rest_begin;
    if (grows) estimate(t, sums, end);
    if (strip == t.first_begin / strip_) return nullptr;
    float factors[kLanes];
    for (std::int64_t i = 0; i < kLanes; i += V::kWidth) {
      const F all = V::load(t.all.sum + i);
      V::store(factors + i, grows ? ratio(V::load(t.scale + i), all)
                                  : share(V::load(sums.maximum + i), V::load(t.all.maximum + i), all));
    }
    A::pack_factors(factors, memory_.factors);
    return memory_.factors;
  }

  /// Where the sums of a tile's head for the cells of a block from `begin` on are added up.
  float* totals_of(std::int64_t tile, std::int64_t begin) const {
    return memory_.totals + (head_of(tile) * A::block(item_.task.depth) + begin) * A::kTotals;
  }

  /// Ends a block: takes the sums of its cells, `n` from `cell` on.
  void end_block(std::int64_t cell, std::int64_t n) {
    for (std::int64_t h = 0; h < item_.group(); ++h) {
      float* totals = memory_.totals + h * A::block(item_.task.depth) * A::kTotals;
      A::add_totals(totals, n, row_of(h) + cell);
      std::memset(totals, 0, totals_bytes());
    }
  }

  /// Ends the item, whose tiles have all their sums.
  void finish() {
    for (std::int64_t h = 0; h < item_.group(); ++h) {
      correct(h);
      add_first_strips(h);
    }
  }

 private:
  static constexpr float kNotTaken = -2e30f;  // in place of the maximum where no strip was taken

  std::size_t totals_bytes() const {
    return std::size_t(A::block(item_.task.depth) * A::kTotals) * sizeof(float);
  }
  std::int64_t head_of(std::int64_t tile) const { return tile / item_.tiles_of_head(); }
  float* row_of(std::int64_t h) const {
    return out_ + (item_.kv_head * item_.group() + h) * item_.task.n_cells;
  }
  char* kept(std::int64_t tile) const {
    return memory_.first_weights + std::size_t(tile) * memory_.strip_bytes(item_.task.depth);
  }
  TileSums sums_of(std::int64_t tile) const { return item_.memory.tile(tile, item_.task.depth); }

  /// `x` / `sum`; 0 where the sum is 0.
  static CHUNKKV_INLINE F ratio(F x, F sum) { return (F)((I)(x / sum) & (sum != F{})); }
  /// What a sum of weights relative to `maximum` is multiplied by, if all of them are sum 2^top.
  static CHUNKKV_INLINE F share(F maximum, F top, F sum) {
    constexpr float most = 60;  // the maximum is far above top only where estimates are wrong
    return ratio(V::template exp2<5>(-V::maximum(V::all(-most), top - maximum)), sum);
  }

  /// Estimates the sums over all cells after the strip that ends at `end`.
  static void estimate(Tile& t, const TileSums& sums, std::int64_t end) {
    const bool is_last = end > t.local_begin;  // some of its cells are local
    const Sums& missing = is_last ? t.rest : t.local;
    for (std::int64_t i = 0; i < kLanes; i += V::kWidth) {
      const F maximum = V::load(sums.maximum + i);
      if (is_last || V::any(maximum != V::load(t.maximum + i))) {
        const F other = V::load(missing.maximum + i), top = V::maximum(maximum, other);
        V::store(t.maximum + i, maximum);
        V::store(t.scale + i, V::template exp2<5>(maximum - top));
        V::store(t.missing + i, V::load(missing.sum + i) * V::template exp2<5>(other - top));
        V::store(t.all.maximum + i, top);
      }
      V::store(t.all.sum + i, V::load(sums.weight + i) * V::load(t.scale + i) + V::load(t.missing + i));
    }
  }

  /// Multiplies each strip of head `h` of the group by what it should have received over what it has
  /// received.
  void correct(std::int64_t h) {
    std::memset(memory_.due, 0, std::size_t(memory_.n_strips) * sizeof(F));
    for (std::int64_t tile = h * item_.tiles_of_head(); tile < (h + 1) * item_.tiles_of_head(); ++tile)
      add_due(tile);
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

  /// Adds what a tile's queries pay to each strip, but the kept one, to memory_.due.
  void add_due(std::int64_t tile) {
    const std::int64_t first = memory_.tiles[tile].first_begin / strip_;
    const TileSums sums = sums_of(tile);
    for (std::int64_t i = 0; i < kLanes; i += V::kWidth) {
      const F maximum = V::load(sums.maximum + i), sum = V::load(sums.weight + i);
      F before{};
      for (std::int64_t strip = first; strip < memory_.n_strips; ++strip) {
        const Sums& so_far = memory_.so_far[tile * memory_.n_strips + strip];
        if (so_far.maximum[0] == kNotTaken) continue;
        const F now = V::load(so_far.sum + i) * share(V::load(so_far.maximum + i), maximum, sum);
        float* due = memory_.due + strip * V::kWidth;
        if (strip != first) V::store(due, V::load(due) + now - before);
        before = now;
      }
    }
  }

  /// Adds what the first strips of the tiles of head `h` of the group receive; mostly all have the same.
  void add_first_strips(std::int64_t h) {
    const std::int64_t end = (h + 1) * item_.tiles_of_head();
    for (std::int64_t tile = h * item_.tiles_of_head(), next; tile < end; tile = next) {
      const std::int64_t begin = memory_.tiles[tile].first_begin;
      std::int64_t count = 0;
      for (next = tile; next < end && memory_.tiles[next].first_begin == begin; ++next) {
        add_first_strip(next);
        count = count < memory_.tiles[next].first_count ? memory_.tiles[next].first_count : count;
      }
      // The last unit of keys may reach beyond the cells.
      A::add_totals(memory_.totals, min_of(count, item_.task.n_cells - begin), row_of(h) + begin);
      std::memset(memory_.totals, 0, std::size_t(count * A::kTotals) * sizeof(float));
    }
  }

  void add_first_strip(std::int64_t tile) {
    const Tile& t = memory_.tiles[tile];
    if (t.first_count == 0) return;
    const TileSums sums = sums_of(tile);
    const Sums& then = memory_.so_far[tile * memory_.n_strips + t.first_begin / strip_];
    float factors[kLanes];
    for (std::int64_t i = 0; i < kLanes; i += V::kWidth)
      V::store(factors + i,
               share(V::load(then.maximum + i), V::load(sums.maximum + i), V::load(sums.weight + i)));
    A::pack_factors(factors, memory_.factors);
    A::add_received(kept(tile), memory_.factors, t.first_count, memory_.totals);
  }

  const Item& item_;
  const ReceivedMemory<A>& memory_;
  std::int64_t strip_;
  float* out_;
};

}  // namespace
}  // namespace chunkkv::kernels
