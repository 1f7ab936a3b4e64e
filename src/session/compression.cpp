#include "base/stopwatch.h"
#include "session/kept_lengths.h"
#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {
namespace {

void check_heads(const engine::Context& context, std::span<const LayerKept> kept) {
  const auto n_layer = std::size_t(context.n_layer());
  if (kept.size() != n_layer)
    throw UsageError(fmt::format("kept sets for {} layers; this model has {}", kept.size(), n_layer));
  for (std::size_t layer = 0; layer < n_layer; ++layer) {
    const std::int32_t n_head_kv = context.parts().n_head_kv[layer];
    const std::size_t heads = kept[layer].heads.size();
    if (heads != 1 && heads != std::size_t(n_head_kv))
      throw UsageError(
          fmt::format("layer {} has {} KV heads, but kept sets for {}", layer, n_head_kv, heads));
  }
}

/// The list that all layers and heads share; UsageError when they do not.
const std::vector<std::int32_t>& shared_list(std::span<const LayerKept> kept) {
  const std::vector<std::int32_t>& first = kept.front().heads.front();
  for (const LayerKept& layer : kept)
    for (const auto& list : layer.heads)
      if (list != first)
        throw UsageError("with cache positions all layers and heads must keep the same entries");
  return first;
}

/// Number of first entries that all layers and heads keep, so that they may stay in their cells.
std::int32_t n_leading_entries(std::span<const LayerKept> kept) {
  std::size_t n = kept.front().heads.front().size();
  for (const LayerKept& layer : kept)
    for (const auto& list : layer.heads) n = n_in_order(list, n);
  return std::int32_t(n);
}

}  // namespace

void Sequence::compress(std::span<const LayerKept> layers, Uneven uneven) {
  SessionState& session = state_.session;
  SequenceCells& cells = state_.cells;
  const std::int32_t n = n_entries();
  if (!cells.hidden.empty())
    throw UsageError("cells are hidden from some layers: such a cache cannot be compressed again");
  std::vector<std::size_t> visible;  // by layer
  const std::vector<LayerKept> kept = equalized(layers, n, uneven, visible);
  check_heads(state_.context, kept);
  const auto count = std::int32_t(kept.front().heads.front().size());
  const bool hides =
      std::any_of(visible.begin(), visible.end(), [&](std::size_t v) { return v < std::size_t(count); });
  const bool keeps_all = count == n && !hides;
  if (!keeps_all && !state_.context.can_move_rows())
    throw UsageError("a cache without flash attention can be observed but not compressed; use -fa on");
  state_.cancel_waiting();
  if (keeps_all) return;

  Stopwatch watch(session.timings.move);
  if (session.options.cache_positions)
    state_.close_gaps(shared_list(kept));
  else
    state_.move_together(kept, count);
  state_.history.keep(kept);
  ++state_.n_compressions;
  if (state_.decoding_budget) state_.decoding_budget->pass.reset();
  if (hides) {
    cells.hidden.resize(visible.size());
    for (std::size_t layer = 0; layer < visible.size(); ++layer)
      for (std::size_t entry = visible[layer]; entry < std::size_t(count); ++entry)
        cells.hidden[layer].push_back(cells.cells[entry]);
  }
  session.release_unused();
}

void SequenceState::move_together(std::span<const LayerKept> kept, std::int32_t count) {
  const std::vector<bool> taken = session.cells_of_others(cells);
  const std::int32_t n_leading = n_leading_entries(kept);
  copy_to_own_cells(entries_to_own(cells, count, taken, n_leading));
  const CompactionPlan plan =
      count < cells.n_entries() ? plan_compaction(cells, count, taken, n_leading) : plan_in_place(cells);
  // Windows lose dropped positions and are put back below; states do not.
  const bool has_window = context.parts().n_window > 0;
  const std::vector<std::byte> fixed = has_window ? context.windows_and_states(id) : std::vector<std::byte>{};
  // Drop cells first, since the engine may refuse. Their rows remain until another token takes the cells.
  for (const CompactionPlan::Range& range : plan.removed) context.remove(id, range.from, range.to);
  std::vector<std::int32_t> rows;
  for (const CompactionPlan::Slot& slot : plan.slots) rows.push_back(slot.row);
  rows.erase(rows.begin(), rows.begin() + plan.n_fixed);
  std::vector<std::vector<std::vector<Position>>> positions(kept.size());
  for (std::size_t layer = 0; layer < kept.size(); ++layer) {
    const LayerKept& choice = kept[layer];
    std::vector<std::vector<std::int32_t>> from(choice.heads.size());
    auto& true_positions = positions[layer];
    // Heads that shared a list of positions before and share a kept set now keep sharing a list.
    const std::size_t n_before = cells.n_compressed > 0 ? cells.positions[layer].size() : 1;
    true_positions.resize(std::max(n_before, choice.heads.size()));
    for (std::size_t h = 0; h < true_positions.size(); ++h)
      for (const std::int32_t entry : choice.heads[choice.heads.size() == 1 ? 0 : h])
        true_positions[h].push_back(cells.position(layer, h, entry));
    for (std::size_t h = 0; h < from.size(); ++h)
      for (const std::int32_t entry : std::span(choice.heads[h]).subspan(std::size_t(plan.n_fixed)))
        from[h].push_back(cells.cells[std::size_t(entry)]);
    context.move_rows(std::int32_t(layer), from, rows);
  }
  // Relocate so many cells at once that they hold no more bytes than one layer's kept rows.
  context.relocate(id, plan.relocated, std::max<std::size_t>(1, std::size_t(count) / kept.size()));
  context.set_windows_and_states(id, fixed);

  cells.cells.clear();
  cells.cell_positions.clear();
  for (const CompactionPlan::Slot& slot : plan.slots) {
    cells.cells.push_back(slot.cell);
    cells.cell_positions.push_back(slot.cell_position);
  }
  cells.positions = std::move(positions);
  cells.n_compressed = count;
}

/// With cache positions, the engine's positions equal entry numbers, before and after; it rotates keys.
void SequenceState::close_gaps(std::span<const std::int32_t> kept) {
  const std::int32_t n = cells.n_entries();
  for (std::size_t i = 0; i <= kept.size(); ++i) {
    const std::int32_t from = i == 0 ? 0 : kept[i - 1] + 1;
    const std::int32_t to = i == kept.size() ? n : kept[i];
    if (from < to) context.remove(id, from, to);
  }

  // Attention reads up to the highest used cell, so cells above the lowest free ones are relocated.
  const std::vector<std::int32_t> targets = lowest_free(session.cells_of_others(cells), kept.size());
  std::vector<std::pair<std::int32_t, Position>> high;  // cell, position
  std::vector<bool> stays(std::size_t(context.n_cells()));
  for (const std::int32_t entry : kept) {
    const std::int32_t cell = cells.cells[std::size_t(entry)];
    if (cell > targets.back())
      high.emplace_back(cell, entry);
    else
      stays[std::size_t(cell)] = true;
  }
  std::sort(high.begin(), high.end());
  std::vector<Position> relocated;
  auto target = targets.begin();
  for (const auto& [cell, position] : high) {
    while (stays[std::size_t(*target)]) ++target;
    relocated.push_back(position);
    cells.cells[std::size_t(position)] = *target++;
  }
  context.relocate(id, relocated, std::max<std::size_t>(1, kept.size() / std::size_t(context.n_layer())));

  for (std::size_t i = 0; i < kept.size();) {
    std::size_t end = i + 1;
    while (end < kept.size() && kept[end] == kept[end - 1] + 1) ++end;
    const Position down = kept[i] - Position(i);
    if (down > 0) context.shift(id, kept[i], kept[end - 1] + 1, -down);
    i = end;
  }

  SequenceCells result;
  for (const std::int32_t entry : kept) result.append({&cells.cells[std::size_t(entry)], 1});
  cells = std::move(result);
}

}  // namespace chunkkv
