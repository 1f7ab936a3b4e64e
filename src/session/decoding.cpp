#include "session/impl.h"

#include <algorithm>

namespace chunkkv {

void Session::Impl::decode_together(std::span<const Token> tokens, std::span<const Sequence> which) {
  if (tokens.size() != which.size()) throw UsageError("there must be one token for each sequence");
  if (tokens.empty()) return;
  std::vector<Position> positions;
  // A cell that one sequence hides from a layer is not seen by the others' tokens anyway.
  std::vector<std::vector<std::int32_t>> hidden;
  for (std::size_t i = 0; i < which.size(); ++i) {
    const SequenceState& state = at(which[i]);
    if (std::find(which.begin(), which.begin() + std::ptrdiff_t(i), which[i]) !=
        which.begin() + std::ptrdiff_t(i))
      throw UsageError("sequence " + std::to_string(which[i]) + " is given twice");
    if (state.limit)
      throw UsageError("sequence " + std::to_string(which[i]) +
                       " is limited: its tokens can only be decoded one by one");
    positions.push_back(state.cells.next);
    hidden.resize(std::max(hidden.size(), state.cells.hidden.size()));
    for (std::size_t layer = 0; layer < state.cells.hidden.size(); ++layer)
      hidden[layer].insert(hidden[layer].end(), state.cells.hidden[layer].begin(),
                           state.cells.hidden[layer].end());
  }
  context.hide(hidden);
  const std::vector<std::int32_t> cells = context.decode(tokens, positions, which);
  for (std::size_t i = 0; i < which.size(); ++i) {
    SequenceState& state = at(which[i]);
    state.cells.append({&cells[i], 1});
    state.tokens.push_back(tokens[i]);
  }
}

}  // namespace chunkkv
