#include "session/session_state.h"

#include <algorithm>
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

/// One token of a sequence, in a step of several.
struct Part {
  SequenceState& state;
  Round* round;
};

RoundShape shape_of(const SequenceState& state) {
  const Limit& limit = *state.limit;
  return {.n_entries = std::max(limit.budget + limit.buffer, state.cells.n_entries() + 1),
          .n_read = limit.budget,
          .share_layers = state.session.options.cache_positions};
}

}  // namespace

void require_plan(const Plan& plan) {
  if (!plan.method) throw UsageError("a plan needs a method");
  if (plan.protect_first < 0 || plan.protect_last < 0)
    throw UsageError("a plan protects 0 entries or more at each end");
}

void Sequence::limit(const Plan& plan, std::int32_t buffer) {
  require_plan(plan);
  state_.limit.reset();
  if (plan.method->keeps_all()) return;
  if (plan.method->layer_budgets())
    throw UsageError(plan.method->spec() + " can only compress a whole prompt, not while generating");
  if (buffer < 1)
    throw UsageError("the buffer of a compression while generating must hold at least one token");
  auto limit = std::make_unique<Limit>(Limit{.plan = plan, .buffer = buffer});
  // Its budget is a number from here on: what a share of the text so far is.
  limit->budget = plan.n_to_keep(std::max(std::int32_t(tokens().size()), 1));
  limit->plan.budget = Budget::tokens(limit->budget);
  const std::int32_t available = n_entries() + state_.session.n_free();
  if (std::int64_t(limit->budget) + buffer > available)
    throw UsageError(
        "a budget of " + std::to_string(limit->budget) + " and a buffer of " + std::to_string(buffer) +
        " tokens do not fit into the " + std::to_string(available) +
        " cells that are the sequence's own or free; use a smaller budget or buffer, or more cells");
  // Refuses a budget that is too small.
  limit->plan.at(limit->budget, limit->budget + buffer, state_.context.n_layer());
  state_.limit = std::move(limit);
}

void Sequence::unlimit() {
  state_.limit.reset();
}

Round* SequenceState::watching() {
  // Another reading or a shortening in between: the steps to come are not the answer's first.
  if (awaiting && awaiting->next_query() != cells.n_entries()) awaiting.reset();
  if (awaiting) return awaiting.get();
  // Cutting back begins when the prompt is compressed.
  if (!limit || waits()) return nullptr;
  // Likewise, the observation starts anew.
  if (!limit->round || limit->round->next_query() != cells.n_entries())
    limit->round = std::make_unique<Round>(context, std::span<const Plan>(&limit->plan, 1), shape_of(*this),
                                           history, session.timings);
  return limit->round.get();
}

void SequenceState::cut_back() {
  if (!limit->round->complete()) return;
  const Selection chosen = limit->round->take(0);
  face.compress(chosen.layers, chosen.surplus);
  limit->round.reset();
}

void SessionState::decode(std::span<const Token> tokens, std::span<const SequenceId> ids) {
  if (tokens.size() != ids.size()) throw UsageError("there must be one token for each sequence");
  if (tokens.empty()) return;
  model->require_tokens(tokens);
  std::vector<Position> positions;
  // A cell that one sequence hides from a layer is not seen by the others' tokens anyway.
  std::vector<std::vector<std::int32_t>> hidden;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const SequenceState& state = at(ids[i]);
    const auto earlier = ids.first(i);
    if (std::find(earlier.begin(), earlier.end(), ids[i]) != earlier.end())
      throw UsageError("sequence " + std::to_string(ids[i]) + " is given twice");
    state.require_window_room(std::int64_t(ids.size()), 1);
    positions.push_back(state.cells.next);
    hidden.resize(std::max(hidden.size(), state.cells.hidden.size()));
    for (std::size_t layer = 0; layer < state.cells.hidden.size(); ++layer)
      hidden[layer].insert(hidden[layer].end(), state.cells.hidden[layer].begin(),
                           state.cells.hidden[layer].end());
  }
  std::vector<Part> parts;
  std::vector<Round*> watching;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SequenceState& state = at(ids[i]);
    state.work.reset();
    Round* const round = state.watching();
    parts.push_back({state, round});
    if (round == nullptr) continue;
    round->expect(state.cells.n_entries(), 1, state.cells.cells, std::int32_t(i));
    watching.push_back(round);
  }
  context.hide(hidden);
  std::vector<std::int32_t> cells;
  {
    const Watch watch(context.tap(), std::move(watching));
    for (const Part& part : parts) part.state.newest_batch = part.state.cells.next;
    cells = context.decode(tokens, positions, ids);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    SequenceState& state = parts[i].state;
    state.cells.append({&cells[i], 1});
    state.tokens.push_back(tokens[i]);
    if (parts[i].round != nullptr) parts[i].round->after(state.cells.cells);
  }
  for (const Part& part : parts) {  // cells move only when all of the step is known
    const bool is_limited = part.round != nullptr && !part.state.awaiting;
    part.state.answered();
    if (is_limited) part.state.cut_back();
  }
}

std::span<const float> Sequence::decode(Token token) {
  state_.session.decode({&token, 1}, {&state_.id, 1});
  return session().logits();
}

void Session::decode(std::span<const Token> tokens, std::span<const SequenceId> sequences,
                     const std::function<void(std::size_t, std::span<const float>)>& on_logits) {
  if (!on_logits) throw UsageError("decoding several sequences needs a function that takes the logits");
  state_->decode(tokens, sequences);
  for (std::size_t i = 0; i < tokens.size(); ++i) on_logits(i, state_->context.logits(std::int32_t(i)));
}

}  // namespace chunkkv
