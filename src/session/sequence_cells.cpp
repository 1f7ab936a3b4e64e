#include "session/sequence_cells.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace chunkkv {

Position SequenceCells::position(std::size_t layer, std::size_t head, std::int32_t entry) const {
  if (entry >= n_compressed) return next - (n_entries() - entry);
  const auto& heads = positions[layer];
  return heads[heads.size() == 1 ? 0 : head][std::size_t(entry)];
}

void SequenceCells::append(std::span<const std::int32_t> new_cells) {
  cells.insert(cells.end(), new_cells.begin(), new_cells.end());
  for (std::size_t i = 0; i < new_cells.size(); ++i) cell_positions.push_back(next++);
}

bool SequenceCells::is_hidden(std::size_t layer, std::int32_t entry) const {
  if (hidden.empty()) return false;
  const auto& of_layer = hidden[layer];
  return std::find(of_layer.begin(), of_layer.end(), cells[std::size_t(entry)]) != of_layer.end();
}

std::vector<std::int32_t> lowest_free(const std::vector<bool>& taken, std::size_t n) {
  std::vector<std::int32_t> free;
  for (std::int32_t cell = 0; free.size() < n; ++cell)
    if (!taken[std::size_t(cell)]) free.push_back(cell);
  return free;
}

std::size_t n_in_order(std::span<const std::int32_t> list, std::size_t most) {
  std::size_t n = 0;
  while (n < std::min(most, list.size()) && list[n] == std::int32_t(n)) ++n;
  return n;
}

CompactionPlan plan_in_place(const SequenceCells& sequence) {
  CompactionPlan plan;
  for (std::size_t i = 0; i < sequence.cells.size(); ++i)
    plan.slots.push_back({sequence.cells[i], sequence.cells[i], sequence.cell_positions[i]});
  return plan;
}

/// How many of the first `n_leading` entries stay in their cells. One slot is left for the cell with the
/// highest position, from which the engine continues.
static std::int32_t n_in_place(const SequenceCells& sequence, std::int32_t count, std::int32_t n_leading,
                               const std::function<bool(std::int32_t entry)>& may_stay) {
  std::int32_t n = 0;
  while (n < std::min(n_leading, count - 1) && may_stay(n) &&
         sequence.cell_positions[std::size_t(n)] != sequence.next - 1)
    ++n;
  return n;
}

/// Returns a function that tells whether an entry's cell is held by another sequence too.
static auto shared_entries(const SequenceCells& sequence, const std::vector<bool>& taken) {
  return [&sequence, &taken](std::int32_t entry) -> bool {
    return taken[std::size_t(sequence.cells[std::size_t(entry)])];
  };
}

std::vector<std::int32_t> entries_to_own(const SequenceCells& sequence, std::int32_t count,
                                         const std::vector<bool>& taken, std::int32_t n_leading) {
  const std::int32_t n = sequence.n_entries();
  const auto is_shared = shared_entries(sequence, taken);
  // When no entry is dropped, rows are moved among all cells and none stays.
  const std::int32_t n_staying = count < n ? n_in_place(sequence, count, n_leading, is_shared) : 0;
  std::int32_t n_missing = count - n_staying;
  for (std::int32_t entry = 0; entry < n; ++entry) n_missing -= !is_shared(entry);
  std::vector<std::int32_t> result;
  for (std::int32_t entry = n; entry-- > n_staying;) {
    const bool is_newest = sequence.cell_positions[std::size_t(entry)] == sequence.next - 1;
    if (!is_shared(entry) || (!is_newest && n_missing <= 0)) continue;
    result.push_back(entry);
    --n_missing;
  }
  return result;
}

/// Ranges of the positions of entries whose cells are not used any more.
static std::vector<CompactionPlan::Range> removed_ranges(const SequenceCells& sequence,
                                                         const std::vector<bool>& used) {
  std::vector<std::size_t> by_position(sequence.cells.size());
  std::iota(by_position.begin(), by_position.end(), 0);
  std::sort(by_position.begin(), by_position.end(), [&](std::size_t a, std::size_t b) {
    return sequence.cell_positions[a] < sequence.cell_positions[b];
  });
  std::vector<CompactionPlan::Range> removed;
  bool open = false;
  for (const std::size_t entry : by_position) {
    const Position p = sequence.cell_positions[entry];
    if (used[entry]) {
      open = false;
    } else if (open) {
      removed.back().to = p + 1;
    } else {
      removed.push_back({p, p + 1});
      open = true;
    }
  }
  return removed;
}

/// Sets the cells of the slots after the fixed ones: the first `n_own` keep theirs, the others are relocated.
static void assign_cells(CompactionPlan& plan, const std::vector<std::int32_t>& targets, std::size_t n_own) {
  // Relocated cells become the lowest free ones: the targets that are not the sequence's own.
  const auto first = plan.slots.begin() + plan.n_fixed;
  auto own = first;
  auto relocated = first + std::ptrdiff_t(n_own);
  const auto end_of_own = relocated;
  for (const std::int32_t target : targets) {
    if (own != end_of_own && own->cell == target)
      ++own;
    else
      (relocated++)->cell = target;
  }
  std::sort(first, plan.slots.end(), [](const auto& a, const auto& b) { return a.cell < b.cell; });
}

CompactionPlan plan_compaction(const SequenceCells& sequence, std::int32_t count,
                               const std::vector<bool>& taken, std::int32_t n_leading) {
  const auto is_shared = shared_entries(sequence, taken);
  const std::int32_t n_shared = n_in_place(sequence, count, n_leading, is_shared);
  std::vector<std::int32_t> targets = lowest_free(taken, std::size_t(count - n_shared));

  CompactionPlan plan;
  // Further entries stay where they already lie in the lowest cells, in ascending order.
  plan.n_fixed = n_in_place(sequence, count, n_leading, [&](std::int32_t entry) {
    return entry < n_shared || sequence.cells[std::size_t(entry)] == targets[std::size_t(entry - n_shared)];
  });
  targets.erase(targets.begin(), targets.begin() + (plan.n_fixed - n_shared));
  std::vector<bool> used(sequence.cells.size(), false);
  for (std::size_t i = 0; i < std::size_t(plan.n_fixed); ++i) {
    plan.slots.push_back({sequence.cells[i], sequence.cells[i], sequence.cell_positions[i]});
    used[i] = true;
  }

  std::vector<std::size_t> by_cell;  // entries whose cells may take rows, by ascending cell
  for (std::int32_t entry = plan.n_fixed; entry < sequence.n_entries(); ++entry)
    if (!is_shared(entry)) by_cell.push_back(std::size_t(entry));
  std::sort(by_cell.begin(), by_cell.end(),
            [&](std::size_t a, std::size_t b) { return sequence.cells[a] < sequence.cells[b]; });

  // Keep the sequence's own cells that lie among the lowest free cells, and relocate just enough others. The
  // cell with the highest position is always one of the two, because the engine continues from it.
  const auto n_staying = std::size_t(std::count_if(
      by_cell.begin(), by_cell.end(), [&](std::size_t e) { return sequence.cells[e] <= targets.back(); }));
  const Position newest = sequence.next - 1;
  const bool newest_stays = std::any_of(by_cell.begin(), by_cell.begin() + std::ptrdiff_t(n_staying),
                                        [&](std::size_t e) { return sequence.cell_positions[e] == newest; });
  const std::size_t n_own = std::min(n_staying, targets.size() - (newest_stays ? 0 : 1));
  std::size_t n_others = targets.size() - n_own;
  bool newest_is_due = !newest_stays;

  for (std::size_t i = 0; i < by_cell.size(); ++i) {
    const std::size_t entry = by_cell[i];
    const bool is_newest = sequence.cell_positions[entry] == newest;
    const bool stays = i < n_own;
    const bool wanted = i >= n_staying && n_others > (newest_is_due && !is_newest ? 1u : 0u);
    if (!stays && !wanted) continue;
    if (wanted) {
      --n_others;
      newest_is_due = newest_is_due && !is_newest;
      plan.relocated.push_back(sequence.cell_positions[entry]);
    }
    used[entry] = true;
    plan.slots.push_back({sequence.cells[entry], sequence.cells[entry], sequence.cell_positions[entry]});
  }

  assign_cells(plan, targets, n_own);
  plan.removed = removed_ranges(sequence, used);
  return plan;
}

}  // namespace chunkkv
