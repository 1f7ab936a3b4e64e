#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv {
namespace {

/// One sequence in a step that several take together.
struct Part {
  SequenceState& state;
  SelectionPass* pass;
};

PassShape shape_of(const SequenceState& state) {
  const DecodingBudget& decoding_budget = *state.decoding_budget;
  return {.n_entries = std::max(decoding_budget.budget + decoding_budget.buffer, state.cells.n_entries() + 1),
          .n_read = decoding_budget.budget,
          .share_layers = state.session.options.cache_positions};
}

}  // namespace

void require_plan(const Plan& plan) {
  if (!plan.method) throw UsageError("a plan needs a method");
  if (plan.protect_first < 0 || plan.protect_last < 0)
    throw UsageError("a plan protects 0 entries or more at each end");
}

void Sequence::compress_while_decoding(const Plan& plan, std::int32_t buffer) {
  require_plan(plan);
  state_.decoding_budget.reset();
  if (plan.method->keeps_all()) return;
  if (plan.method->layer_budgets())
    throw UsageError(plan.method->spec() + " can only compress a whole prompt, not while generating");
  if (buffer < 1)
    throw UsageError("the buffer of a compression while generating must hold at least one token");
  auto decoding_budget = std::make_unique<DecodingBudget>(DecodingBudget{.plan = plan, .buffer = buffer});
  // From here on the budget is a number of tokens: the share is taken of the tokens read so far.
  decoding_budget->budget = plan.n_to_keep(std::max(std::int32_t(tokens().size()), 1));
  decoding_budget->plan.budget = Budget::tokens(decoding_budget->budget);
  const std::int32_t available = n_entries() + state_.session.n_free();
  if (std::int64_t(decoding_budget->budget) + buffer > available)
    throw UsageError(
        fmt::format("a budget of {} and a buffer of {} tokens do not fit into the {} cells that are the "
                    "sequence's own or free; use a smaller budget or buffer, or more cells",
                    decoding_budget->budget, buffer, available));
  // Throws when the budget is too small.
  decoding_budget->plan.at(decoding_budget->budget, decoding_budget->budget + buffer,
                           state_.context.n_layer());
  state_.decoding_budget = std::move(decoding_budget);
}

void Sequence::stop_compressing() {
  state_.decoding_budget.reset();
}

SelectionPass* SequenceState::watching() {
  // After another reading or a truncation the next steps are not the first of the answer.
  if (awaiting && awaiting->next_query() != cells.n_entries()) awaiting.reset();
  if (awaiting) return awaiting.get();
  // The decoding budget applies only after the prompt is compressed.
  if (!decoding_budget || waits()) return nullptr;
  // After another reading or a truncation the observation starts anew.
  if (!decoding_budget->pass || decoding_budget->pass->next_query() != cells.n_entries())
    decoding_budget->pass = std::make_unique<SelectionPass>(
        context, std::span<const Plan>(&decoding_budget->plan, 1), shape_of(*this), history, session.timings);
  return decoding_budget->pass.get();
}

void SequenceState::compress_if_full() {
  if (!decoding_budget->pass->complete()) return;
  const Selection chosen = decoding_budget->pass->take(0);
  calls.compress(chosen.layers, chosen.uneven);
  decoding_budget->pass.reset();
}

void SessionState::decode(std::span<const Token> tokens, std::span<const SequenceId> ids) {
  if (tokens.size() != ids.size()) throw UsageError("there must be one token for each sequence");
  if (tokens.empty()) return;
  model->require_tokens(tokens);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto earlier = ids.first(i);
    if (std::find(earlier.begin(), earlier.end(), ids[i]) != earlier.end())
      throw UsageError(fmt::format("sequence {} is given twice", ids[i]));
    at(ids[i]).require_window_room(std::int64_t(ids.size()), 1);
  }
  std::vector<Part> parts;
  std::vector<engine::Segment> segments;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SequenceState& state = at(ids[i]);
    state.work.reset();
    SelectionPass* const pass = state.watching();
    if (pass != nullptr) pass->before(state.cells.n_entries(), 1, state.cells.cells);
    parts.push_back({state, pass});
    segments.push_back(state.segment(tokens.subspan(i, 1), pass));
    state.newest_batch = state.cells.next;
  }
  const std::vector<std::int32_t> cells = context.decode(segments);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    SequenceState& state = parts[i].state;
    state.cells.append({&cells[i], 1});
    state.tokens.push_back(tokens[i]);
    if (parts[i].pass != nullptr) parts[i].pass->after(state.cells.cells);
  }
  for (const Part& part : parts) {  // compress only when the step is recorded for all sequences
    const bool has_decoding_budget = part.pass != nullptr && !part.state.awaiting;
    part.state.end_answer_step();
    if (has_decoding_budget) part.state.compress_if_full();
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
