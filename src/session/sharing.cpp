// Sequences that begin alike share the cells of the beginning. Each drops and moves entries only
// in cells of its own.
#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {

std::int32_t Sequence::n_intact() const {
  const SequenceCells& cells = state_.cells;
  if (!cells.hidden.empty()) return 0;
  if (cells.n_compressed == 0) return cells.n_entries();
  std::size_t n = n_in_order(cells.cell_positions, std::size_t(cells.n_compressed));
  for (const auto& layer : cells.positions)
    for (const auto& list : layer) n = n_in_order(list, n);
  return std::int32_t(n);
}

void Sequence::share(const Sequence& from, std::int32_t n_tokens) {
  const SequenceState& source = from.state_;
  SequenceState& state = state_;
  if (&source == &state) throw UsageError("a sequence cannot share cells with itself");
  if (&source.session != &state.session)
    throw UsageError("sequences of different sessions cannot share cells; use a snapshot");
  if (!session().can_share())
    throw UsageError(
        "sequences share cells only where all layers keep every token, with true positions; use a snapshot");
  const auto n_all = std::int32_t(source.tokens.size());
  const bool is_beginning = n_tokens <= from.n_intact();
  const std::int32_t n_entries = is_beginning ? n_tokens : source.cells.n_entries() - (n_all - n_tokens);
  if (!source.cells.hidden.empty()) throw UsageError("a cache that hides cells from layers cannot be shared");
  if (n_tokens < 0 || n_tokens > n_all) throw UsageError("there are no such tokens to share");
  if (!is_beginning) source.require_uncompressed(n_entries);

  clear();
  const auto n = std::ptrdiff_t(n_entries);
  state.cells.cells.assign(source.cells.cells.begin(), source.cells.cells.begin() + n);
  state.cells.cell_positions.assign(source.cells.cell_positions.begin(),
                                    source.cells.cell_positions.begin() + n);
  state.cells.next = n_tokens;
  if (!is_beginning) {
    state.cells.n_compressed = source.cells.n_compressed;
    state.cells.positions = source.cells.positions;
  }
  state.tokens.assign(source.tokens.begin(), source.tokens.begin() + n_tokens);
  state.newest_batch = state.cells.next;
  state.history = source.history;
  state.history.truncate(n_entries);
  state.context.share(source.id, state.id, state.cells.next);
  state.session.shares = true;
}

void SequenceState::copy_to_own_cells(std::vector<std::int32_t> entries) {
  if (entries.empty()) return;
  if (std::int32_t(entries.size()) > session.n_free())
    throw UsageError(
        fmt::format("what is kept of shared cells needs {} cells of its own, and {} are free; use more "
                    "cells (-c)",
                    entries.size(), session.n_free()));
  // The engine fills the lowest free cells of all.
  const std::vector<std::int32_t> free = lowest_free(session.cells_of_others({}), entries.size());
  std::sort(entries.begin(), entries.end(), [&](std::int32_t a, std::int32_t b) {
    return cells.cells[std::size_t(a)] < cells.cells[std::size_t(b)];
  });
  std::vector<Position> positions;
  for (const std::int32_t entry : entries) positions.push_back(cells.cell_positions[std::size_t(entry)]);
  context.relocate(id, positions,
                   std::max<std::size_t>(1, cells.cells.size() / std::size_t(context.n_layer())));
  for (std::size_t i = 0; i < entries.size(); ++i) cells.cells[std::size_t(entries[i])] = free[i];
}

}  // namespace chunkkv
