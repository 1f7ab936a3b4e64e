#include "session/session_state.h"

#include <algorithm>
#include <utility>

namespace chunkkv {
namespace {

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
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto earlier = ids.first(i);
    if (std::find(earlier.begin(), earlier.end(), ids[i]) != earlier.end())
      throw UsageError("sequence " + std::to_string(ids[i]) + " is given twice");
    at(ids[i]).require_window_room(std::int64_t(ids.size()), 1);
  }
  std::vector<Part> parts;
  std::vector<engine::Segment> segments;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SequenceState& state = at(ids[i]);
    state.work.reset();
    Round* const round = state.watching();
    if (round != nullptr) round->before(state.cells.n_entries(), 1, state.cells.cells);
    parts.push_back({state, round});
    segments.push_back(state.segment(tokens.subspan(i, 1), round));
    state.newest_batch = state.cells.next;
  }
  const std::vector<std::int32_t> cells = context.decode(segments);
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
