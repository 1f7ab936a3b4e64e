#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {

engine::Segment SequenceState::segment(std::span<const Token> batch, engine::Observer* observer) const {
  return {
      .sequence = id, .first = cells.next, .tokens = batch, .hidden = &cells.hidden, .observer = observer};
}

void SequenceState::decode(const engine::Segment& batch) {
  newest_batch = cells.next;
  cells.append(context.decode({&batch, 1}));
  tokens.insert(tokens.end(), batch.tokens.begin(), batch.tokens.end());
}

void SequenceState::require_window_room(std::int64_t n_tokens, std::int64_t n_batch) const {
  const CacheParts& parts = context.parts();
  if (parts.n_window == 0) return;
  std::int64_t needed = 0;
  for (const SequenceState& s : session.sequences) {
    const std::int64_t n = s.cells.next + (&s == this ? n_tokens : 0);
    needed += std::min<std::int64_t>(n, parts.window + (&s == this ? n_batch : 0));
  }
  if (needed > parts.window_cells)
    throw UsageError(fmt::format(
        "layers that keep a window of {} tokens need {} cells here, compressed or not, and have {}; "
        "use as many cells, smaller micro-batches (-ub), or fewer sequences at a time",
        parts.window, needed, parts.window_cells));
}

SequenceId Sequence::id() const {
  return state_.id;
}
Session& Sequence::session() {
  return state_.session.calls;
}
const Session& Sequence::session() const {
  return state_.session.calls;
}
std::int32_t Sequence::n_compressions() const {
  return state_.n_compressions;
}
const std::vector<Token>& Sequence::tokens() const {
  return state_.tokens;
}
std::int32_t Sequence::n_entries() const {
  return state_.cells.n_entries();
}
Position Sequence::next_position() const {
  return state_.cells.next;
}

std::vector<Position> Sequence::positions(std::int32_t layer, std::int32_t head) const {
  const SequenceCells& cells = state_.cells;
  const auto& n_head_kv = state_.context.parts().n_head_kv;
  if (layer < 0 || layer >= state_.context.n_layer() || head < 0 || head >= n_head_kv[std::size_t(layer)])
    throw UsageError(fmt::format("there is no layer {} with a KV head {}", layer, head));
  std::vector<Position> result;
  for (std::int32_t entry = 0; entry < cells.n_entries(); ++entry)
    if (!cells.is_hidden(std::size_t(layer), entry))
      result.push_back(cells.position(std::size_t(layer), std::size_t(head), entry));
  return result;
}

CacheUse Sequence::use() const {
  CacheUse result = state_.session.use(n_entries());
  if (!state_.session.shares) return result;
  const std::vector<bool> taken = state_.session.cells_of_others(state_.cells);
  for (const std::int32_t cell : state_.cells.cells) result.cells_shared += taken[std::size_t(cell)];
  return result;
}

}  // namespace chunkkv
