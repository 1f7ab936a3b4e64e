#include "session/impl.h"

#include <algorithm>

namespace chunkkv {
namespace {

RoundShape shape_of(const SequenceState& state, const SessionOptions& options) {
  const Limit& limit = *state.limit;
  return {.n_entries = std::max(limit.budget + limit.buffer, state.cells.n_entries() + 1),
          .n_read = limit.budget,
          .share_layers = options.cache_positions};
}

}  // namespace

void Session::Impl::limit(const Plan& plan, std::int32_t buffer, Sequence sequence) {
  SequenceState& state = at(sequence);
  require_plan(plan);
  state.limit.reset();
  if (plan.method->keeps_all()) return;
  if (plan.method->layer_budgets())
    throw UsageError(plan.method->spec() + " can only compress a whole prompt, not while generating");
  if (buffer < 1)
    throw UsageError("the buffer of a compression while generating must hold at least one token");
  auto limit = std::make_unique<Limit>(Limit{.plan = plan, .buffer = buffer});
  // Its budget is a number from here on: what a share of the text so far is.
  limit->budget = plan.n_to_keep(std::max(std::int32_t(state.tokens.size()), 1));
  limit->plan.budget = Budget::tokens(limit->budget);
  const std::int32_t available = state.cells.n_entries() + n_free();
  if (std::int64_t(limit->budget) + buffer > available)
    throw UsageError(
        "a budget of " + std::to_string(limit->budget) + " and a buffer of " + std::to_string(buffer) +
        " tokens do not fit into the " + std::to_string(available) +
        " cells that are the sequence's own or free; use a smaller budget or buffer, or more cells");
  limit->plan.at(limit->budget, limit->budget + buffer, n_layer());  // refuses a budget that is too small
  state.limit = std::move(limit);
}

Round* Session::Impl::limiting(SequenceState& state) {
  Limit* limit = state.limit.get();
  if (limit == nullptr) return nullptr;
  // Another reading or a shortening in between starts the observation anew.
  if (!limit->round || limit->round->next_query() != state.cells.n_entries())
    limit->round = std::make_unique<Round>(context, std::span<const Plan>(&limit->plan, 1),
                                           shape_of(state, options), state.history, timings);
  return limit->round.get();
}

void Session::Impl::cut_back(SequenceState& state, Sequence sequence) {
  if (!state.limit->round->complete()) return;
  const Selection chosen = state.limit->round->take(0);
  compress(chosen.layers, sequence, chosen.surplus);
  state.limit->round.reset();
}

}  // namespace chunkkv
