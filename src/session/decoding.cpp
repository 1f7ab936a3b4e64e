#include "session/impl.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace chunkkv {
namespace {

/// Lets the tap show a step to the rounds of several sequences.
class Watch {
 public:
  Watch(engine::Tap& tap, std::vector<Round*> rounds) : tap_(tap), rounds_(std::move(rounds)) {
    std::vector<bool> layers;
    for (const Round* round : rounds_) {
      layers.resize(std::max(layers.size(), round->watched().size()));
      for (std::size_t layer = 0; layer < round->watched().size(); ++layer)
        if (round->watched()[layer]) layers[layer] = true;
    }
    if (layers.empty()) return;
    tap_.watch(std::move(layers), [this](const engine::Attention& attention) {
      for (Round* round : rounds_) {
        const auto& watched = round->watched();
        if (std::size_t(attention.layer) < watched.size() && watched[std::size_t(attention.layer)])
          round->on_attention(attention);
      }
    });
  }
  ~Watch() { tap_.ignore(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  engine::Tap& tap_;
  std::vector<Round*> rounds_;
};

/// What is observed and chosen in the answer's steps counts as part of the prompt's reading.
class AnswerTime {
 public:
  explicit AnswerTime(Timings& timings) : timings_(timings), before_(timings.observe + timings.select) {}
  ~AnswerTime() { timings_.prefill += timings_.observe + timings_.select - before_; }
  AnswerTime(const AnswerTime&) = delete;
  AnswerTime& operator=(const AnswerTime&) = delete;

 private:
  Timings& timings_;
  double before_;
};

}  // namespace

void Session::Impl::decode(Token token, Sequence sequence) {
  SequenceState& state = at(sequence);
  SequenceCells& cells = state.cells;
  model->require_tokens({&token, 1});
  require_window_room(state, 1, 1);
  state.work.reset();
  Round* const answer = awaiting(state);
  std::optional<AnswerTime> time;
  if (answer != nullptr) time.emplace(timings);
  // Cutting back begins when the prompt is compressed.
  Round* const limit = waits(state) ? nullptr : limiting(state);
  Round* const round = answer != nullptr ? answer : limit;
  std::vector<Round*> rounds;
  if (round != nullptr) {
    round->expect(cells.n_entries(), 1, cells.cells);
    rounds.push_back(round);
  }
  context.hide(cells.hidden);
  {
    const Watch watch(context.tap(), std::move(rounds));
    state.newest_batch = cells.next;
    cells.append(context.decode({&token, 1}, cells.next, sequence));
  }
  state.tokens.push_back(token);
  if (round != nullptr) round->after(cells.cells);
  time.reset();
  answered(state, sequence);
  if (round != nullptr && round == limit) cut_back(state, sequence);
}

void Session::Impl::decode_together(std::span<const Token> tokens, std::span<const Sequence> which) {
  if (tokens.size() != which.size()) throw UsageError("there must be one token for each sequence");
  if (tokens.empty()) return;
  model->require_tokens(tokens);
  std::vector<Position> positions;
  // A cell that one sequence hides from a layer is not seen by the others' tokens anyway.
  std::vector<std::vector<std::int32_t>> hidden;
  for (std::size_t i = 0; i < which.size(); ++i) {
    const SequenceState& state = at(which[i]);
    if (std::find(which.begin(), which.begin() + std::ptrdiff_t(i), which[i]) !=
        which.begin() + std::ptrdiff_t(i))
      throw UsageError("sequence " + std::to_string(which[i]) + " is given twice");
    require_window_room(state, std::int64_t(which.size()), 1);
    positions.push_back(state.cells.next);
    hidden.resize(std::max(hidden.size(), state.cells.hidden.size()));
    for (std::size_t layer = 0; layer < state.cells.hidden.size(); ++layer)
      hidden[layer].insert(hidden[layer].end(), state.cells.hidden[layer].begin(),
                           state.cells.hidden[layer].end());
  }
  // What watches each sequence: the answer's first tokens, or its limit. Cutting back begins when the prompt
  // is compressed.
  std::vector<Round*> answers, limits, watching;
  for (std::size_t i = 0; i < which.size(); ++i) {
    SequenceState& state = at(which[i]);
    state.work.reset();
    answers.push_back(awaiting(state));
    limits.push_back(answers[i] != nullptr || waits(state) ? nullptr : limiting(state));
    Round* const round = answers[i] != nullptr ? answers[i] : limits[i];
    if (round == nullptr) continue;
    round->expect(state.cells.n_entries(), 1, state.cells.cells, std::int32_t(i));
    watching.push_back(round);
  }
  context.hide(hidden);
  std::vector<std::int32_t> cells;
  {
    const AnswerTime time(timings);
    const Watch watch(context.tap(), std::move(watching));
    cells = context.decode(tokens, positions, which);
  }
  for (std::size_t i = 0; i < which.size(); ++i) {
    SequenceState& state = at(which[i]);
    state.newest_batch = state.cells.next;
    state.cells.append({&cells[i], 1});
    state.tokens.push_back(tokens[i]);
    if (Round* const round = answers[i] != nullptr ? answers[i] : limits[i]) round->after(state.cells.cells);
  }
  for (std::size_t i = 0; i < which.size(); ++i) {  // cells move only when all of the step is known
    SequenceState& state = at(which[i]);
    answered(state, which[i]);
    if (limits[i] != nullptr) cut_back(state, which[i]);
  }
}

}  // namespace chunkkv
