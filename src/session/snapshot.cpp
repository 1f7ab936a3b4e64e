#include "session/session_state.h"
#include "store/snapshot_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace chunkkv {

Snapshot Sequence::snapshot() const {
  const SequenceCells& cells = state_.cells;
  if (state_.session.options.cache_positions)
    throw Error("a cache with cache positions cannot be saved; use true positions");
  if (!cells.hidden.empty()) throw Error("a cache that hides cells from layers cannot be saved");
  Snapshot s;
  s.tokens = state_.tokens;
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
  s.state = state_.context.state(state_.id);
  s.attention = state_.history.columns(s.n_entries);
  return s;
}

/// The engine's positions of a snapshot's cells, in the order of the cells.
static std::vector<Position> positions_by_cell(const Snapshot& snapshot) {
  std::vector<Position> positions(snapshot.order.size());
  for (std::size_t entry = 0; entry < positions.size(); ++entry)
    positions[std::size_t(snapshot.order[entry])] = snapshot.cell_positions[entry];
  return positions;
}

void SessionState::require_whole(const Snapshot& snapshot) const {
  const auto damaged = [](const std::string& reason) {
    throw Error("the snapshot is damaged or of another model: " + reason);
  };
  try {
    check_snapshot(snapshot);
    model->require_tokens(snapshot.tokens);
  } catch (const Error& error) {
    damaged(error.what());
  }
  const auto n_layer = std::size_t(context.n_layer());
  if (!snapshot.positions.empty() && snapshot.positions.size() != n_layer) damaged("it has other layers");
  for (std::size_t layer = 0; layer < snapshot.positions.size(); ++layer) {
    const std::size_t n_lists = snapshot.positions[layer].size();
    if (n_lists != 1 && n_lists != std::size_t(context.parts().n_head_kv[layer]))
      damaged("it has other KV heads");
  }
  for (const auto& [number, sums] : snapshot.attention) {
    const std::size_t layer = AttentionHistory::layer_of(number);
    if (layer >= n_layer ||
        sums.size() != std::size_t(context.n_head(std::int32_t(layer))) * std::size_t(snapshot.n_entries))
      damaged("its sums of attention have other layers or heads");
  }
}

void Sequence::restore(const Snapshot& snapshot) {
  SequenceState& state = state_;
  SessionState& session = state.session;
  clear();
  if (session.options.cache_positions) throw Error("a session with cache positions cannot restore a cache");
  if (snapshot.n_entries == 0 && snapshot.tokens.empty()) return;
  session.require_whole(snapshot);
  const auto n = std::size_t(snapshot.n_entries);
  const std::size_t n_compressed = snapshot.positions.empty() ? 0 : snapshot.positions.front().front().size();
  if (snapshot.n_entries > session.n_free())
    throw Error(fmt::format("the saved cache has {} entries, but only {} cells are free; use more cells (-c)",
                            n, session.n_free()));
  state.require_window_room(std::int64_t(snapshot.tokens.size()), 0);
  state.context.set_state(state.id, snapshot.state, positions_by_cell(snapshot));

  // The engine fills the lowest free cells.
  const std::vector<std::int32_t> lowest = lowest_free(session.cells_of_others(state.cells), n);
  for (const std::int32_t rank : snapshot.order) state.cells.cells.push_back(lowest.at(std::size_t(rank)));
  state.cells.cell_positions = snapshot.cell_positions;
  state.cells.next = Position(snapshot.tokens.size());
  state.newest_batch = state.cells.next;
  state.cells.n_compressed = std::int32_t(n_compressed);
  state.cells.positions = snapshot.positions;
  state.tokens = snapshot.tokens;
  for (const auto& [layer, sums] : snapshot.attention) state.history.set(layer, sums, snapshot.n_entries);
}

Snapshot Session::converted(Snapshot snapshot) const {
  if (snapshot.n_entries == 0) return snapshot;
  state_->require_whole(snapshot);
  snapshot.state = state_->context.converted(snapshot.state, positions_by_cell(snapshot));
  return snapshot;
}

void Sequence::clear() {
  state_.cancel_waiting();
  if (state_.decoding_budget) state_.decoding_budget->pass.reset();
  state_.cells = {};
  std::vector<Token>().swap(state_.tokens);
  state_.history = {};
  state_.n_compressions = 0;
  state_.newest_batch = 0;
  state_.context.remove(state_.id, 0, -1);
}

void SequenceState::require_uncompressed(std::int32_t n_entries) const {
  if (n_entries < cells.n_compressed || n_entries > cells.n_entries())
    throw UsageError(
        fmt::format("only the entries read since the last compression can be dropped: a length of {} to {}, "
                    "not {}",
                    cells.n_compressed, cells.n_entries(), n_entries));
}

void SequenceState::forget_newest(std::int32_t n_entries) {
  const std::int32_t dropped = cells.n_entries() - n_entries;
  work.reset();
  if (awaiting && awaiting->next_query() != n_entries) awaiting.reset();
  if (!waits()) compress_by.reset();
  cells.next -= dropped;
  cells.cells.resize(std::size_t(n_entries));
  cells.cell_positions.resize(std::size_t(n_entries));
  tokens.resize(tokens.size() - std::size_t(dropped));
  history.truncate(n_entries);
}

void Sequence::truncate(std::int32_t n_entries) {
  state_.require_uncompressed(n_entries);
  const std::int32_t dropped = this->n_entries() - n_entries;
  if (dropped > 0) {
    const Position next = next_position() - dropped;
    const CacheParts& parts = state_.context.parts();
    // A window drops the cells that no token from the newest micro-batch on can see.
    const bool is_lost =
        n_entries > 0 && ((parts.n_state > 0) || (parts.n_window > 0 && next < state_.newest_batch &&
                                                  state_.newest_batch > parts.window));
    if (is_lost)
      throw UsageError(
          "a model with windows or recurrent layers goes back only to a place where a checkpoint was made");
    state_.context.remove(state_.id, next, -1);
  }
  state_.forget_newest(n_entries);
}

Checkpoint Sequence::checkpoint() const {
  Checkpoint result{.n_entries = n_entries(), .next = next_position(), .fixed = {}};
  if (n_entries() > 0) result.fixed = state_.context.windows_and_states(state_.id);
  return result;
}

bool Sequence::can_go_back(const Checkpoint& checkpoint) const {
  const std::int32_t dropped = n_entries() - checkpoint.n_entries;
  return checkpoint.n_entries >= state_.cells.n_compressed && dropped >= 0 &&
         checkpoint.next == next_position() - dropped;
}

void Sequence::go_back(const Checkpoint& checkpoint) {
  if (!can_go_back(checkpoint))
    throw UsageError("the checkpoint is of another sequence, or of this one before it was compressed");
  if (checkpoint.n_entries == n_entries()) return;
  try {
    state_.context.set_windows_and_states(state_.id, checkpoint.fixed);
    state_.context.remove(state_.id, checkpoint.next, -1);
  } catch (...) {
    clear();
    throw;
  }
  state_.forget_newest(checkpoint.n_entries);
  state_.newest_batch = checkpoint.next;
}

}  // namespace chunkkv
