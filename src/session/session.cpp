#include <chunkkv/session.h>

#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {
namespace {

const SessionOptions& checked(const std::shared_ptr<Model>& model, const SessionOptions& options) {
  if (!model) throw UsageError("a session needs a model");
  if (const std::string reason = model->refusal(); !reason.empty()) throw Error(reason);
  if (options.n_cells < 0) throw UsageError("a cache cannot have a negative number of cells (-c)");
  if (options.n_threads < 0) throw UsageError("the number of threads (-t) is 0, for all cores, or more");
  if (options.n_sequences < 1) throw UsageError("a session needs at least one sequence");
  if (options.n_sequences > engine::Context::most_sequences())
    throw UsageError(fmt::format("a session has at most {} sequences", engine::Context::most_sequences()));
  if (options.n_ubatch < 1) throw UsageError("the micro-batch (-ub) must hold at least one token");
  return options;
}

}  // namespace

SessionState::SessionState(Session& f, std::shared_ptr<Model> m, const SessionOptions& o)
    : calls(f), model(std::move(m)), options(o), context(*model, o) {
  options.n_threads = context.n_threads();
  options.n_cells = context.n_cells();
  options.n_ubatch = context.n_ubatch();
  for (SequenceId id = 0; id < options.n_sequences; ++id) sequences.emplace_back(*this, context, id);
}

SequenceState& SessionState::at(SequenceId id) {
  if (id < 0 || std::size_t(id) >= sequences.size())
    throw UsageError(fmt::format("there is no sequence {}; this session has {}", id, sequences.size()));
  return sequences[std::size_t(id)];
}

std::int32_t SessionState::n_free() const {
  std::int32_t n = context.n_cells();
  if (!shares) {
    for (const SequenceState& s : sequences) n -= s.cells.n_entries();
    return n;
  }
  const std::vector<bool> used = cells_of_others({});
  return n - std::int32_t(std::count(used.begin(), used.end(), true));
}

void SessionState::require_room(std::size_t n_tokens) const {
  if (n_tokens > std::size_t(n_free()))
    throw UsageError(
        fmt::format("the prompt has {} tokens, but only {} of the cache's {} cells are free; give a shorter "
                    "prompt or more cells (-c)",
                    n_tokens, n_free(), context.n_cells()));
}

CacheUse SessionState::use(std::int32_t n_used) const {
  const std::uint64_t cell_bytes = context.cell_bytes();
  return {.cells_used = n_used,
          .cells_allocated = context.n_cells(),
          .bytes_used = std::uint64_t(n_used) * cell_bytes,
          .bytes_allocated = std::uint64_t(context.n_cells()) * cell_bytes,
          .bytes_fixed = context.parts().fixed_bytes};
}

std::vector<bool> SessionState::cells_of_others(const SequenceCells& sequence) const {
  std::vector<bool> taken(std::size_t(context.n_cells()));
  for (const SequenceState& s : sequences)
    if (&s.cells != &sequence)
      for (const std::int32_t cell : s.cells.cells) taken[std::size_t(cell)] = true;
  return taken;
}

void SessionState::release_unused() {
  std::int32_t end = 0;
  for (const SequenceState& s : sequences)
    for (const std::int32_t cell : s.cells.cells) end = std::max(end, cell + 1);
  context.release_cells(end);
}

Session::Session(std::shared_ptr<Model> model, const SessionOptions& options) {
  const SessionOptions& good = checked(model, options);
  state_ = std::make_unique<SessionState>(*this, std::move(model), good);
}

Session::~Session() = default;

Sequence& Session::sequence(SequenceId id) {
  return state_->at(id).calls;
}
const Sequence& Session::sequence(SequenceId id) const {
  return state_->at(id).calls;
}
const Model& Session::model() const {
  return *state_->model;
}
const SessionOptions& Session::options() const {
  return state_->options;
}
std::span<const WeightUse> Session::weights() const {
  return state_->context.weights();
}
const CacheParts& Session::cache_parts() const {
  return state_->context.parts();
}
const Timings& Session::timings() const {
  return state_->timings;
}
llama_context* Session::handle() const {
  return state_->context.handle();
}
bool Session::can_share() const {
  return !options().cache_positions && cache_parts().n_window + cache_parts().n_state == 0;
}
CacheUse Session::use() const {
  return state_->use(state_->context.n_cells() - state_->n_free());
}

std::span<const float> Session::logits() const {
  const std::span<const float> logits = state_->context.logits();
  if (logits.empty()) throw UsageError("there are no logits: no token was read yet");
  return logits;
}

}  // namespace chunkkv
