#pragma once

#include "kernels/attention_work.h"

namespace chunkkv::kernels {
namespace {

/// The order in which queries take strips of cells: first the strip of the first cell that a query sees,
/// which often takes most of its attention, then the local ones, which have its last cells, then the others.
/// So the sum of a query's weights is soon nearly known (`Received`). The order follows from what the query
/// itself sees: its sums do not depend on its neighbours in the batch. A tile whose queries differ takes a
/// strip more than once, each time for some of them.
template <class A>
class StripOrder {
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;
  using View = typename Work::View;
  static constexpr std::int64_t kLocalCells = 256;  // local cells before the strip of the last one

 public:
  explicit StripOrder(const Item& item) : item_(item), strip_(A::strip(item.task.depth)) {
    find_ends();
    for (std::int64_t tile = 0; tile < item.n_tiles(); ++tile) {
      const auto [first, last] = item.tokens(tile);
      Ends low = ends(first), high = low;
      for (std::int64_t t = first + 1; t <= last; ++t) {
        low = {min_of(low.first, ends(t).first), min_of(low.last, ends(t).last)};
        high = {max_of(high.first, ends(t).first), max_of(high.last, ends(t).last)};
      }
      const bool is_one = low.first == high.first && low.last == high.last;
      item.memory.tile_ends[tile] = {low.first, high.last, is_one};
    }
  }

  /// The strips of the block of `n` cells at `cell` that some queries take in a phase, as cells of the block:
  /// they lie from `begin` to `end`; none if `end` is 0.
  struct Range {
    std::int64_t begin, end;
  };
  Range range(Phase phase, std::int64_t cell, std::int64_t n) const {
    Range range{n, 0};
    for (std::int64_t begin = 0; begin < n; begin += strip_) {
      bool any = false;
      for (std::int64_t tile = 0; tile < item_.n_tiles() && !any; ++tile)
        any = is_taken(phase, tile, (cell + begin) / strip_);
      if (any) range = {min_of(range.begin, begin), min_of(begin + strip_, n)};
    }
    return range;
  }

  /// Sets `view` for the queries of a tile that take the strip from `begin` to `end` of the block at `cell`.
  void find_view(Phase phase, std::int64_t tile, std::int64_t cell, std::int64_t begin, std::int64_t end,
                 View& view) const {
    const std::int64_t strip = (cell + begin) / strip_;
    view.high = 0;
    if (!is_taken(phase, tile, strip)) return;
    if (item_.memory.tile_ends[tile].is_one)
      Work::find_view(item_, tile, cell, begin, end, view);
    else
      Work::find_view(item_, tile, cell, begin, end, view,
                      [&](std::int64_t token) { return phase_of(ends(token), strip) == phase; });
  }

 private:
  const Ends& ends(std::int64_t token) const { return item_.memory.ends[token - item_.first]; }

  /// Finds the strips of the first and the last cell that each token sees; -1 if it sees none.
  void find_ends() {
    const AttentionTask& task = item_.task;
    Ends* ends = item_.memory.ends;
    for (std::int64_t t = 0; t < item_.count; ++t) ends[t] = {-1, -1};
    const std::int64_t n_groups = (task.n_cells + 31) / 32;
    const auto find = [&](std::int64_t group, std::int64_t Ends::*end) {
      const std::uint32_t* words = task.visible + group * task.n_queries + item_.first;
      std::int64_t found = 0;
      for (std::int64_t t = 0; t < item_.count; ++t)
        if (ends[t].*end < 0 && words[t] != 0) {
          ends[t].*end = 32 * group / strip_;
          ++found;
        }
      return found;
    };
    std::int64_t left = item_.count;
    for (std::int64_t group = 0; group < n_groups && left > 0; ++group) left -= find(group, &Ends::first);
    left = item_.count - left;
    for (std::int64_t group = n_groups; group-- > 0 && left > 0;) left -= find(group, &Ends::last);
  }

  Phase phase_of(const Ends& ends, std::int64_t strip) const {
    if (strip == ends.first) return kFirstStrip;
    return strip <= ends.last && strip >= ends.last - kLocalCells / strip_ ? kLocalStrips : kOtherStrips;
  }

  bool is_taken(Phase phase, std::int64_t tile, std::int64_t strip) const {
    const TileEnds& all = item_.memory.tile_ends[tile];
    if (strip < all.first || strip > all.last) return false;
    if (all.is_one) return phase_of({all.first, all.last}, strip) == phase;
    const auto [first, last] = item_.tokens(tile);
    for (std::int64_t t = first; t <= last; ++t)
      if (phase_of(ends(t), strip) == phase) return true;
    return false;
  }

  const Item& item_;
  std::int64_t strip_;
};

}  // namespace
}  // namespace chunkkv::kernels
