#pragma once

#include "kernels/attention_work.h"

namespace chunkkv::kernels {
namespace {

/// A weight of 0 times a value that is no number is none: it would spoil all queries of a tile, though only
/// one sees it. Where sums are not finite, an item is computed once more without the cells of such values,
/// for the queries that do not see these cells.
template <class A>
struct FiniteValues {
  using V = typename A::Vector;
  using Work = AttentionWork<A>;
  using Item = typename Work::Item;

  /// Whether the sums of a tile are finite.
  static bool are_sums(const Item& item, const TileSums& sums) {
    return Work::are_finite(
        item.task.depth * A::kLanes, [&](std::int64_t i)
                                         __attribute__((always_inline)) { return V::load(sums.values + i); });
  }

  /// Finds the cells whose values are finite, among those that any query sees. Returns whether some are not.
  static bool find(const Item& item) {
    const AttentionTask& task = item.task;
    const char* values = task.v + task.v_head * std::size_t(item.kv_head);
    bool any_bad = false;
    for (std::int64_t group = 0; 32 * group < task.n_cells; ++group) {
      std::uint32_t& finite = item.memory.finite_values[group];
      finite = task.seen_by_any[group];
      for (std::uint32_t left = finite; left != 0; left &= left - 1) {
        const int bit = __builtin_ctz(left);
        const char* value = values + task.v_cell * std::size_t(32 * group + bit);
        if (Work::is_finite_row(value, task.depth)) continue;
        finite &= ~(std::uint32_t(1) << bit);
        any_bad = true;
      }
    }
    return any_bad;
  }

  /// Whether all values that a token sees are finite, by what `find` found.
  static bool are_seen_by(const Item& item, std::int64_t token) {
    const AttentionTask& task = item.task;
    for (std::int64_t group = 0; 32 * group < task.n_cells; ++group)
      if ((task.visible[group * task.n_queries + token] & ~item.memory.finite_values[group]) != 0)
        return false;
    return true;
  }
};

}  // namespace
}  // namespace chunkkv::kernels
