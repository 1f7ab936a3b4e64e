#include "session/impl.h"

#include <algorithm>
#include <string>
#include <utility>

namespace chunkkv {

void Session::Impl::collect(SequenceState& state, Round& round) {
  state.selections.resize(round.n_plans());
  for (std::size_t i = 0; i < round.n_plans(); ++i) {
    Selection& selection = state.selections[i];
    if (round.chose(i))
      selection = round.take(i);
    else if (selection.layers.empty())
      selection = round.outline(i);
  }
}

void Session::Impl::await_answer(SequenceState& state, std::unique_ptr<Round> round) {
  collect(state, *round);
  if (!round->complete()) state.awaiting = std::move(round);
}

void Session::Impl::call_off(SequenceState& state) {
  state.awaiting.reset();
  state.due.reset();
  state.work.reset();
}

Round* Session::Impl::awaiting(SequenceState& state) {
  // Another reading or a shortening in between: the steps to come are not the answer's first.
  if (state.awaiting && state.awaiting->next_query() != state.cells.n_entries()) state.awaiting.reset();
  return state.awaiting.get();
}

bool Session::Impl::waits(const SequenceState& state) const {
  return state.due && (state.awaiting || !state.selections[*state.due].layers.empty());
}

void Session::Impl::answered(SequenceState& state, Sequence sequence) {
  if (state.awaiting) {
    collect(state, *state.awaiting);
    if (state.awaiting->complete()) state.awaiting.reset();
  }
  if (!state.due) return;
  const Selection& chosen = state.selections[*state.due];
  if (chosen.layers.empty() || state.cells.n_entries() < chosen.n_entries + chosen.after) return;
  compress(chosen, sequence);
}

const Selection& Session::Impl::selection(std::size_t index, Sequence sequence) {
  const std::vector<Selection>& selections = at(sequence).selections;
  if (index >= selections.size())
    throw UsageError("the last prefill had " + std::to_string(selections.size()) +
                     " plans; there is no plan " + std::to_string(index));
  if (selections[index].layers.empty())
    throw UsageError(
        "plan " + std::to_string(index) +
        " observes the first tokens of the answer: decode them before asking what it chose, or let "
        "it choose at once");
  return selections[index];
}

void Session::Impl::compress(const Selection& selection, Sequence sequence) {
  const std::int32_t n = at(sequence).cells.n_entries();
  if (n == selection.n_entries) {
    compress(selection.layers, sequence, selection.surplus);
    return;
  }
  std::vector<LayerKept> layers = selection.layers;
  for (LayerKept& layer : layers)
    for (auto& list : layer.heads)
      for (std::int32_t entry = selection.n_entries; entry < n; ++entry) list.push_back(entry);
  compress(layers, sequence, selection.surplus);
}

void Session::Impl::compress_when_chosen(std::size_t index, Sequence sequence) {
  SequenceState& state = at(sequence);
  if (index >= state.selections.size()) selection(index, sequence);  // says what is wrong
  state.due = index;
  answered(state, sequence);
}

std::int32_t Session::Impl::n_until_compression(Sequence sequence) {
  const SequenceState& state = at(sequence);
  if (!waits(state)) return 0;
  const Selection& chosen = state.selections[*state.due];
  return std::max(0, chosen.n_entries + chosen.after - state.cells.n_entries());
}

}  // namespace chunkkv
