#include <chunkkv/session.h>

#include "llama/key_shift.h"
#include "session/impl.h"

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
    throw UsageError("a session has at most " + std::to_string(engine::Context::most_sequences()) +
                     " sequences");
  if (options.n_ubatch < 1) throw UsageError("the micro-batch (-ub) must hold at least one token");
  if (options.cache_positions) engine::require_turnable(*model, options.type_k);
  return options;
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<Model> m, const SessionOptions& o)
    : model(std::move(m)), options(o), context(*model, o), sequences(std::size_t(o.n_sequences)) {
  options.n_threads = context.n_threads();
  options.n_cells = context.n_cells();
  options.n_ubatch = context.n_ubatch();
  if (options.cache_positions && context.has_fixed_part())
    throw UsageError(
        "cache positions (--positions cache) are not for models with windows or recurrent layers; use true "
        "positions");
  if (options.cache_positions) engine::require_right_shifts(context);
}

SequenceState& Session::Impl::at(Sequence sequence) {
  if (sequence < 0 || std::size_t(sequence) >= sequences.size())
    throw UsageError("there is no sequence " + std::to_string(sequence) + "; this session has " +
                     std::to_string(sequences.size()));
  return sequences[std::size_t(sequence)];
}

std::int32_t Session::Impl::n_free() const {
  std::int32_t n = context.n_cells();
  if (!shares) {
    for (const SequenceState& s : sequences) n -= s.cells.n_entries();
    return n;
  }
  const std::vector<bool> used = cells_of_others({});
  return n - std::int32_t(std::count(used.begin(), used.end(), true));
}

void Session::Impl::require_room(std::size_t n_tokens) const {
  if (n_tokens > std::size_t(n_free()))
    throw UsageError("the prompt has " + std::to_string(n_tokens) + " tokens, but only " +
                     std::to_string(n_free()) + " of the cache's " + std::to_string(context.n_cells()) +
                     " cells are free; give a shorter prompt or more cells (-c)");
}

void require_plan(const Plan& plan) {
  if (!plan.method) throw UsageError("a plan needs a method");
  if (plan.protect_first < 0 || plan.protect_last < 0)
    throw UsageError("a plan protects 0 entries or more at each end");
}

void Session::Impl::require_window_room(const SequenceState& sequence, std::int64_t n_tokens,
                                        std::int64_t n_batch) const {
  const CacheParts& parts = context.parts();
  if (parts.n_window == 0) return;
  std::int64_t needed = 0;
  for (const SequenceState& s : sequences) {
    const std::int64_t n = s.cells.next + (&s == &sequence ? n_tokens : 0);
    needed += std::min<std::int64_t>(n, parts.window + (&s == &sequence ? n_batch : 0));
  }
  if (needed > parts.window_cells)
    throw UsageError("layers that keep a window of " + std::to_string(parts.window) + " tokens need " +
                     std::to_string(needed) + " cells here, compressed or not, and have " +
                     std::to_string(parts.window_cells) +
                     "; use as many cells, smaller micro-batches (-ub), or fewer sequences at a time");
}

std::uint64_t Session::Impl::cell_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [number, layer] : context.tap().layers()) bytes += context.cell_bytes(layer);
  return bytes;
}

CacheUse Session::Impl::use(std::int32_t n_used) const {
  return {.cells_used = n_used,
          .cells_allocated = context.n_cells(),
          .bytes_used = std::uint64_t(n_used) * cell_bytes(),
          .bytes_allocated = std::uint64_t(context.n_cells()) * cell_bytes(),
          .bytes_fixed = context.parts().fixed_bytes};
}

std::vector<bool> Session::Impl::cells_of_others(const SequenceCells& sequence) const {
  std::vector<bool> taken(std::size_t(context.n_cells()));
  for (const SequenceState& s : sequences)
    if (&s.cells != &sequence)
      for (const std::int32_t cell : s.cells.cells) taken[std::size_t(cell)] = true;
  return taken;
}

void Session::Impl::release_unused() {
  std::int32_t end = 0;
  for (const SequenceState& s : sequences)
    for (const std::int32_t cell : s.cells.cells) end = std::max(end, cell + 1);
  context.release_cells(end);
}

Session::Session(std::shared_ptr<Model> model, const SessionOptions& options) {
  const SessionOptions& good = checked(model, options);
  impl_ = std::make_unique<Impl>(std::move(model), good);
}

Session::~Session() = default;

const Model& Session::model() const {
  return *impl_->model;
}
const SessionOptions& Session::options() const {
  return impl_->options;
}
std::span<const WeightUse> Session::weights() const {
  return impl_->context.tap().weights();
}
const CacheParts& Session::cache_parts() const {
  return impl_->context.parts();
}
const Timings& Session::timings() const {
  return impl_->timings;
}
llama_context* Session::handle() const {
  return impl_->context.handle();
}
std::span<const float> Session::logits() const {
  const std::span<const float> logits = impl_->context.logits();
  if (logits.empty()) throw UsageError("there are no logits: no token was read yet");
  return logits;
}

void Session::prefill(std::span<const Token> tokens, std::span<const Plan> plans, const Progress& progress,
                      Sequence sequence) {
  impl_->start_prefill(tokens, plans, sequence);
  while (impl_->step(sequence, progress)) continue;
}

std::int32_t Session::read(std::span<const Token> tokens, const Reading& reading, const Progress& progress,
                           Sequence sequence) {
  const std::int32_t before = n_compressions(sequence);
  impl_->start_read(tokens, reading, sequence);
  while (impl_->step(sequence, progress)) continue;
  return n_compressions(sequence) - before;
}

void Session::start_prefill(std::span<const Token> tokens, std::span<const Plan> plans, Sequence sequence) {
  impl_->start_prefill(tokens, plans, sequence);
}

void Session::start_read(std::span<const Token> tokens, const Reading& reading, Sequence sequence) {
  impl_->start_read(tokens, reading, sequence);
}

bool Session::step(Sequence sequence) {
  return impl_->step(sequence, {});
}

ReadState Session::reading(Sequence sequence) const {
  return impl_->reading(sequence);
}

const Selection& Session::selection(std::size_t index) const {
  return impl_->selection(index, impl_->last_prefilled);
}

const Selection& Session::selection(std::size_t index, Sequence sequence) const {
  return impl_->selection(index, sequence);
}

bool Session::has_chosen(std::size_t index, Sequence sequence) const {
  const auto& selections = impl_->at(sequence).selections;
  return index < selections.size() && !selections[index].layers.empty();
}

void Session::compress(std::span<const LayerKept> layers, Sequence sequence, Surplus surplus) {
  impl_->compress(layers, sequence, surplus);
}

void Session::compress(const Selection& selection, Sequence sequence) {
  impl_->compress(selection, sequence);
}

void Session::compress_when_chosen(std::size_t index, Sequence sequence) {
  impl_->compress_when_chosen(index, sequence);
}

std::int32_t Session::n_until_compression(Sequence sequence) const {
  return impl_->n_until_compression(sequence);
}

void Session::limit(const Plan& plan, std::int32_t buffer, Sequence sequence) {
  impl_->limit(plan, buffer, sequence);
}

void Session::unlimit(Sequence sequence) {
  impl_->at(sequence).limit.reset();
}

std::int32_t Session::n_compressions(Sequence sequence) const {
  return impl_->at(sequence).n_compressions;
}

std::span<const float> Session::decode(Token token, Sequence sequence) {
  impl_->decode(token, sequence);
  return logits();
}

void Session::decode(std::span<const Token> tokens, std::span<const Sequence> sequences,
                     const std::function<void(std::size_t, std::span<const float>)>& on_logits) {
  if (!on_logits) throw UsageError("decoding several sequences needs a function that takes the logits");
  impl_->decode_together(tokens, sequences);
  for (std::size_t i = 0; i < tokens.size(); ++i) on_logits(i, impl_->context.logits(std::int32_t(i)));
}

void Session::clear(Sequence sequence) {
  impl_->clear(sequence);
}

void Session::truncate(std::int32_t n_entries, Sequence sequence) {
  impl_->truncate(n_entries, sequence);
}

Checkpoint Session::checkpoint(Sequence sequence) const {
  return impl_->checkpoint(sequence);
}

void Session::go_back(const Checkpoint& checkpoint, Sequence sequence) {
  impl_->go_back(checkpoint, sequence);
}

void Session::evaluate(std::span<const Token> tokens,
                       const std::function<void(std::size_t, std::span<const float>)>& on_logits,
                       const std::function<void(const AttentionRows&)>& on_attention, Sequence sequence) {
  impl_->evaluate(tokens, on_logits, on_attention, sequence);
}

std::vector<float> Session::magnitudes(std::int32_t layer, Sequence sequence) const {
  return impl_->magnitudes(layer, sequence);
}

Snapshot Session::snapshot(Sequence sequence) const {
  return impl_->snapshot(sequence);
}

void Session::restore(const Snapshot& snapshot, Sequence sequence) {
  impl_->restore(snapshot, sequence);
}

Snapshot Session::converted(Snapshot snapshot) const {
  if (snapshot.n_entries == 0) return snapshot;
  impl_->require_whole(snapshot);
  snapshot.state = impl_->context.converted(snapshot.state, positions_by_cell(snapshot));
  return snapshot;
}

bool Session::can_share() const {
  return impl_->can_share();
}

std::int32_t Session::n_intact(Sequence sequence) const {
  return impl_->n_intact(impl_->at(sequence));
}

void Session::share(Sequence from, std::int32_t n_tokens, Sequence to) {
  impl_->share(from, n_tokens, to);
}

const std::vector<Token>& Session::tokens(Sequence sequence) const {
  return impl_->at(sequence).tokens;
}
std::int32_t Session::n_entries(Sequence sequence) const {
  return impl_->at(sequence).cells.n_entries();
}
Position Session::next_position(Sequence sequence) const {
  return impl_->at(sequence).cells.next;
}

std::vector<Position> Session::positions(std::int32_t layer, std::int32_t head, Sequence sequence) const {
  const SequenceCells& cells = impl_->at(sequence).cells;
  const auto it = impl_->context.tap().layers().find(layer);
  if (it == impl_->context.tap().layers().end() || head < 0 || head >= it->second.n_head_kv)
    throw UsageError("there is no layer " + std::to_string(layer) + " with a KV head " +
                     std::to_string(head));
  std::vector<Position> result;
  for (std::int32_t entry = 0; entry < cells.n_entries(); ++entry)
    if (!cells.is_hidden(std::size_t(layer), entry))
      result.push_back(cells.position(std::size_t(layer), std::size_t(head), entry));
  return result;
}

CacheUse Session::use(Sequence sequence) const {
  CacheUse result = impl_->use(impl_->at(sequence).cells.n_entries());
  result.cells_shared = impl_->n_shared(sequence);
  return result;
}

CacheUse Session::use() const {
  return impl_->use(impl_->context.n_cells() - impl_->n_free());
}

}  // namespace chunkkv
