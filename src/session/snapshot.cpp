#include "session/impl.h"
#include "store/snapshot_codec.h"

#include <algorithm>
#include <numeric>

namespace chunkkv {

Snapshot Session::Impl::snapshot(Sequence sequence) {
  const SequenceState& state = at(sequence);
  const SequenceCells& cells = state.cells;
  if (options.cache_positions)
    throw Error("a cache with cache positions cannot be saved; use true positions");
  if (!cells.hidden.empty()) throw Error("a cache that hides cells from layers cannot be saved");
  Snapshot s;
  s.tokens = state.tokens;
  s.n_entries = cells.n_entries();
  s.positions = cells.positions;
  s.cell_positions = cells.cell_positions;
  std::vector<std::int32_t> by_cell(cells.cells.size());
  std::iota(by_cell.begin(), by_cell.end(), 0);
  std::sort(by_cell.begin(), by_cell.end(), [&](std::int32_t a, std::int32_t b) {
    return cells.cells[std::size_t(a)] < cells.cells[std::size_t(b)];
  });
  s.order.resize(by_cell.size());
  for (std::size_t rank = 0; rank < by_cell.size(); ++rank)
    s.order[std::size_t(by_cell[rank])] = std::int32_t(rank);
  s.state = context.state(sequence);
  s.attention = state.history.columns(s.n_entries);
  return s;
}

std::vector<Position> positions_by_cell(const Snapshot& snapshot) {
  std::vector<Position> positions(snapshot.order.size());
  for (std::size_t entry = 0; entry < positions.size(); ++entry)
    positions[std::size_t(snapshot.order[entry])] = snapshot.cell_positions[entry];
  return positions;
}

void Session::Impl::require_whole(const Snapshot& snapshot) const {
  const auto damaged = [](const std::string& reason) {
    throw Error("the snapshot is damaged or of another model: " + reason);
  };
  try {
    check_snapshot(snapshot);
    model->require_tokens(snapshot.tokens);
  } catch (const Error& error) {
    damaged(error.what());
  }
  const auto& layers = context.tap().layers();
  if (!snapshot.positions.empty() && snapshot.positions.size() != layers.size())
    damaged("it has other layers");
  for (const auto& [number, layer] : layers) {
    if (snapshot.positions.empty()) break;
    const std::size_t n_lists = snapshot.positions[std::size_t(number)].size();
    if (n_lists != 1 && n_lists != std::size_t(layer.n_head_kv)) damaged("it has other KV heads");
  }
  for (const auto& [number, sums] : snapshot.attention) {
    const auto layer = layers.find(std::int32_t(AttentionHistory::layer_of(number)));
    if (layer == layers.end() ||
        sums.size() != std::size_t(layer->second.n_head) * std::size_t(snapshot.n_entries))
      damaged("its sums of attention have other layers or heads");
  }
}

void Session::Impl::restore(const Snapshot& snapshot, Sequence sequence) {
  clear(sequence);
  if (options.cache_positions) throw Error("a session with cache positions cannot restore a cache");
  if (snapshot.n_entries == 0 && snapshot.tokens.empty()) return;
  require_whole(snapshot);
  const auto n = std::size_t(snapshot.n_entries);
  const std::size_t n_compressed = snapshot.positions.empty() ? 0 : snapshot.positions.front().front().size();
  if (snapshot.n_entries > n_free())
    throw Error("the saved cache has " + std::to_string(n) + " entries, but only " +
                std::to_string(n_free()) + " cells are free; use more cells (-c)");
  SequenceState& state = at(sequence);
  require_window_room(state, std::int64_t(snapshot.tokens.size()), 0);
  context.set_state(sequence, snapshot.state, positions_by_cell(snapshot));

  // The engine fills the lowest free cells.
  const std::vector<bool> taken = cells_of_others(state.cells);
  std::vector<std::int32_t> lowest;
  for (std::int32_t cell = 0; lowest.size() < n; ++cell)
    if (!taken[std::size_t(cell)]) lowest.push_back(cell);
  for (const std::int32_t rank : snapshot.order) state.cells.cells.push_back(lowest.at(std::size_t(rank)));
  state.cells.cell_positions = snapshot.cell_positions;
  state.cells.next = Position(snapshot.tokens.size());
  state.newest_batch = state.cells.next;
  state.cells.n_compressed = std::int32_t(n_compressed);
  state.cells.positions = snapshot.positions;
  state.tokens = snapshot.tokens;
  for (const auto& [layer, sums] : snapshot.attention) state.history.set(layer, sums, snapshot.n_entries);
}

void Session::Impl::clear(Sequence sequence) {
  SequenceState& state = at(sequence);
  call_off(state);
  auto limit = std::move(state.limit);
  auto selections = std::move(state.selections);
  state = {};
  if (limit) limit->round.reset();
  state.limit = std::move(limit);
  state.selections = std::move(selections);
  context.remove(sequence, 0, -1);
}

void Session::Impl::require_uncompressed(const SequenceCells& cells, std::int32_t n_entries) const {
  if (n_entries < cells.n_compressed || n_entries > cells.n_entries())
    throw UsageError("only the entries read since the last compression can be dropped: a length of " +
                     std::to_string(cells.n_compressed) + " to " + std::to_string(cells.n_entries()) +
                     ", not " + std::to_string(n_entries));
}

void Session::Impl::shorten(SequenceState& state, std::int32_t n_entries) const {
  SequenceCells& cells = state.cells;
  const std::int32_t dropped = cells.n_entries() - n_entries;
  state.work.reset();
  if (state.awaiting && state.awaiting->next_query() != n_entries) state.awaiting.reset();
  if (!waits(state)) state.due.reset();
  cells.next -= dropped;
  cells.cells.resize(std::size_t(n_entries));
  cells.cell_positions.resize(std::size_t(n_entries));
  state.tokens.resize(state.tokens.size() - std::size_t(dropped));
  state.history.truncate(n_entries);
}

void Session::Impl::truncate(std::int32_t n_entries, Sequence sequence) {
  SequenceState& state = at(sequence);
  require_uncompressed(state.cells, n_entries);
  const std::int32_t dropped = state.cells.n_entries() - n_entries;
  if (dropped > 0) {
    const Position next = state.cells.next - dropped;
    const CacheParts& parts = context.parts();
    // A window drops what no token from its newest micro-batch on can see.
    const bool is_lost =
        n_entries > 0 && ((parts.n_state > 0) || (parts.n_window > 0 && next < state.newest_batch &&
                                                  state.newest_batch > parts.window));
    if (is_lost)
      throw UsageError(
          "a model with windows or recurrent layers goes back only to a place where a checkpoint was made");
    context.remove(sequence, next, -1);
  }
  shorten(state, n_entries);
}

Checkpoint Session::Impl::checkpoint(Sequence sequence) {
  const SequenceCells& cells = at(sequence).cells;
  Checkpoint result{.n_entries = cells.n_entries(), .next = cells.next, .fixed = {}};
  if (cells.n_entries() > 0) result.fixed = context.fixed_part(sequence);
  return result;
}

void Session::Impl::go_back(const Checkpoint& checkpoint, Sequence sequence) {
  SequenceState& state = at(sequence);
  require_uncompressed(state.cells, checkpoint.n_entries);
  const std::int32_t dropped = state.cells.n_entries() - checkpoint.n_entries;
  if (checkpoint.next != state.cells.next - dropped)
    throw UsageError("the checkpoint is of another sequence, or of this one before it was compressed");
  if (dropped == 0) return;
  try {
    context.set_fixed_part(sequence, checkpoint.fixed);
    context.remove(sequence, checkpoint.next, -1);
  } catch (...) {
    clear(sequence);
    throw;
  }
  shorten(state, checkpoint.n_entries);
  state.newest_batch = checkpoint.next;
}

}  // namespace chunkkv
