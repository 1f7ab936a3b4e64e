#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv {

void SequenceState::collect(SelectionPass& pass) {
  selections.resize(pass.n_plans());
  for (std::size_t i = 0; i < pass.n_plans(); ++i) {
    Selection& selection = selections[i];
    if (pass.chose(i))
      selection = pass.take(i);
    else if (selection.layers.empty())
      selection = pass.outline(i);
  }
}

void SequenceState::cancel_waiting() {
  awaiting.reset();
  compress_by.reset();
  work.reset();
}

bool SequenceState::waits() const {
  return compress_by && (awaiting || !selections[*compress_by].layers.empty());
}

void SequenceState::end_answer_step() {
  if (awaiting) {
    collect(*awaiting);
    if (awaiting->complete()) awaiting.reset();
  }
  if (!compress_by) return;
  const Selection& chosen = selections[*compress_by];
  if (chosen.layers.empty() || cells.n_entries() < chosen.n_entries + chosen.after) return;
  calls.compress(chosen);
}

const Selection& Sequence::selection(std::size_t index) const {
  const std::vector<Selection>& selections = state_.selections;
  if (index >= selections.size())
    throw UsageError(
        fmt::format("the last prefill had {} plans; there is no plan {}", selections.size(), index));
  if (selections[index].layers.empty())
    throw UsageError(fmt::format(
        "plan {} observes the first tokens of the answer: decode them before asking what it chose, "
        "or let it choose at once",
        index));
  return selections[index];
}

bool Sequence::has_chosen(std::size_t index) const {
  return index < state_.selections.size() && !state_.selections[index].layers.empty();
}

void Sequence::compress(const Selection& selection) {
  const std::int32_t n = n_entries();
  if (n == selection.n_entries) {
    compress(selection.layers, selection.uneven);
    return;
  }
  std::vector<LayerKept> layers = selection.layers;
  for (LayerKept& layer : layers)
    for (auto& list : layer.heads)
      for (std::int32_t entry = selection.n_entries; entry < n; ++entry) list.push_back(entry);
  compress(layers, selection.uneven);
}

void Sequence::compress_when_chosen(std::size_t index) {
  if (index >= state_.selections.size()) selection(index);  // throws and says what is wrong
  state_.compress_by = index;
  state_.end_answer_step();
}

std::int32_t Sequence::n_until_compression() const {
  if (!state_.waits()) return 0;
  const Selection& chosen = state_.selections[*state_.compress_by];
  return std::max(0, chosen.n_entries + chosen.after - n_entries());
}

}  // namespace chunkkv
