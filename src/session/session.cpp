#include <chunkkv/session.h>

#include "llama/context.h"
#include "llama/row_mover.h"
#include "session/kept_lengths.h"
#include "session/observer.h"
#include "session/sequence_cells.h"
#include "session/stopwatch.h"

#include <algorithm>

namespace chunkkv {

struct Session::Impl {
  Impl(std::shared_ptr<Model> m, const SessionOptions& o)
      : model(std::move(m)), options(o), context(*model, o), sequences(std::size_t(o.n_sequences)) {
    options.n_threads = context.n_threads();
    options.n_cells = context.n_cells();
    options.n_ubatch = context.n_ubatch();
  }

  SequenceCells& at(Sequence sequence) {
    if (sequence < 0 || std::size_t(sequence) >= sequences.size())
      throw UsageError("there is no sequence " + std::to_string(sequence) + "; this session has " +
                       std::to_string(sequences.size()));
    return sequences[std::size_t(sequence)];
  }

  std::int32_t n_free() const {
    std::int32_t n = context.n_cells();
    for (const SequenceCells& s : sequences) n -= s.n_entries();
    return n;
  }

  std::uint64_t cell_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& [number, layer] : context.tap().layers()) bytes += context.cell_bytes(layer);
    return bytes;
  }

  std::vector<bool> cells_of_others(const SequenceCells& sequence) const {
    std::vector<bool> taken(std::size_t(context.n_cells()));
    for (const SequenceCells& s : sequences)
      if (&s != &sequence)
        for (const std::int32_t cell : s.cells) taken[std::size_t(cell)] = true;
    return taken;
  }

  /// Attention reads up to the highest used cell, rounded up; memory above is not needed any more.
  void release_unused() {
    std::int32_t end = 0;
    for (const SequenceCells& s : sequences)
      for (const std::int32_t cell : s.cells) end = std::max(end, cell + 1);
    context.release_cells(end);
  }

  std::shared_ptr<Model> model;
  SessionOptions options;
  engine::Context context;
  std::vector<SequenceCells> sequences;
  std::vector<Selection> selections;
  Timings timings;
};

namespace {

const SessionOptions& checked(const Model& model, const SessionOptions& options) {
  if (const std::string reason = model.refusal(); !reason.empty()) throw Error(reason);
  if (options.n_sequences < 1) throw UsageError("a session needs at least one sequence");
  if (options.n_ubatch < 1) throw UsageError("the micro-batch (-ub) must hold at least one token");
  return options;
}

}  // namespace

Session::Session(std::shared_ptr<Model> model, const SessionOptions& options) {
  const SessionOptions& good = checked(*model, options);
  impl_ = std::make_unique<Impl>(std::move(model), good);
}

Session::~Session() = default;

const Model& Session::model() const {
  return *impl_->model;
}
const SessionOptions& Session::options() const {
  return impl_->options;
}
const Timings& Session::timings() const {
  return impl_->timings;
}
llama_context* Session::handle() const {
  return impl_->context.handle();
}
std::span<const float> Session::logits() const {
  return impl_->context.logits();
}

void Session::prefill(std::span<const Token> tokens, std::span<const Plan> plans, const Progress& progress,
                      Sequence sequence) {
  SequenceCells& state = impl_->at(sequence);
  engine::Context& context = impl_->context;
  if (tokens.empty()) throw UsageError("the prompt is empty");
  if (state.n_entries() > 0) throw UsageError("the sequence is not empty; clear it before another prompt");
  const auto total = std::int32_t(tokens.size());
  if (total > impl_->n_free())
    throw UsageError("the prompt has " + std::to_string(total) + " tokens, but only " +
                     std::to_string(impl_->n_free()) + " of the cache's " +
                     std::to_string(context.n_cells()) +
                     " cells are free; give a shorter prompt or more cells (-c)");

  impl_->selections.clear();
  Stopwatch watch(impl_->timings.prefill);
  Observer observer(context, plans, total, impl_->timings);
  if (observer.window() > context.n_ubatch())
    throw UsageError("a window of " + std::to_string(observer.window()) +
                     " tokens does not fit into micro-batches of " + std::to_string(context.n_ubatch()) +
                     "; use a smaller window or a larger -ub");

  for (std::int32_t done = 0; done < total;) {
    std::int32_t count = std::min(context.n_ubatch(), total - done);
    const std::int32_t left = total - done - count;
    if (left > 0 && left < observer.window())
      count -= observer.window() - left;  // the window stays in one piece
    observer.before(done, count, state.cells);
    state.append(context.decode(tokens.subspan(std::size_t(done), std::size_t(count)), state.next, sequence));
    observer.after(state.cells);
    done += count;
    if (progress && !progress(done, total)) throw Interrupted("interrupted while reading the prompt");
  }
  impl_->selections = observer.take_selections();
}

const Selection& Session::selection(std::size_t index) const {
  if (index >= impl_->selections.size())
    throw UsageError("the last prefill had " + std::to_string(impl_->selections.size()) +
                     " plans; there is no plan " + std::to_string(index));
  return impl_->selections[index];
}

void Session::compress(std::span<const LayerKept> layers, Sequence sequence) {
  SequenceCells& state = impl_->at(sequence);
  engine::Context& context = impl_->context;
  const std::int32_t n = state.n_entries();
  const std::vector<LayerKept> kept = with_one_length(layers, n);
  if (kept.size() != context.tap().layers().size())
    throw UsageError("kept sets for " + std::to_string(kept.size()) + " layers; this model has " +
                     std::to_string(context.tap().layers().size()));
  for (const auto& [number, layer] : context.tap().layers()) {
    if (layer.v_transposed)
      throw UsageError("a cache without flash attention can be observed but not compressed; use -fa on");
    const std::size_t heads = kept[std::size_t(number)].heads.size();
    if (heads != 1 && heads != std::size_t(layer.n_head_kv))
      throw UsageError("layer " + std::to_string(number) + " has " + std::to_string(layer.n_head_kv) +
                       " KV heads, but kept sets for " + std::to_string(heads));
  }
  const auto count = std::int32_t(kept.front().heads.front().size());
  if (count == n) return;

  Stopwatch watch(impl_->timings.move);
  const CompactionPlan plan = plan_compaction(state, count, impl_->cells_of_others(state));
  std::vector<std::int32_t> rows;
  for (const CompactionPlan::Slot& slot : plan.slots) rows.push_back(slot.row);
  std::vector<std::vector<std::vector<Position>>> positions(kept.size());
  for (const auto& [number, layer] : context.tap().layers()) {
    const LayerKept& choice = kept[std::size_t(number)];
    std::vector<std::vector<std::int32_t>> from(choice.heads.size());
    auto& true_positions = positions[std::size_t(number)];
    // Lists that were shared before and are shared now stay shared.
    const std::size_t n_before = state.n_compressed > 0 ? state.positions[std::size_t(number)].size() : 1;
    true_positions.resize(std::max(n_before, choice.heads.size()));
    for (std::size_t h = 0; h < true_positions.size(); ++h)
      for (const std::int32_t entry : choice.heads[choice.heads.size() == 1 ? 0 : h])
        true_positions[h].push_back(state.position(std::size_t(number), h, entry));
    for (std::size_t h = 0; h < from.size(); ++h)
      for (const std::int32_t entry : choice.heads[h]) from[h].push_back(state.cells[std::size_t(entry)]);
    engine::move_rows(context.compute(), layer, from, rows);
  }
  for (const CompactionPlan::Range& range : plan.removed) context.remove(sequence, range.from, range.to);
  // As many cells at once as hold no more bytes than one layer's kept rows.
  context.relocate(sequence, plan.relocated, std::max<std::size_t>(1, std::size_t(count) / kept.size()));

  state.cells.clear();
  state.cell_positions.clear();
  for (const CompactionPlan::Slot& slot : plan.slots) {
    state.cells.push_back(slot.cell);
    state.cell_positions.push_back(slot.cell_position);
  }
  state.positions = std::move(positions);
  state.n_compressed = count;
  impl_->release_unused();
}

std::span<const float> Session::decode(Token token, Sequence sequence) {
  SequenceCells& state = impl_->at(sequence);
  state.append(impl_->context.decode({&token, 1}, state.next, sequence));
  return logits();
}

void Session::clear(Sequence sequence) {
  impl_->at(sequence) = {};
  impl_->context.remove(sequence, 0, -1);
}

void Session::truncate(std::int32_t n_entries, Sequence sequence) {
  SequenceCells& state = impl_->at(sequence);
  if (n_entries < state.n_compressed || n_entries > state.n_entries())
    throw UsageError("only the entries read since the last compression can be dropped: a length of " +
                     std::to_string(state.n_compressed) + " to " + std::to_string(state.n_entries()) +
                     ", not " + std::to_string(n_entries));
  state.next -= state.n_entries() - n_entries;
  state.cells.resize(std::size_t(n_entries));
  state.cell_positions.resize(std::size_t(n_entries));
  impl_->context.remove(sequence, state.next, -1);
}

std::int32_t Session::n_entries(Sequence sequence) const {
  return impl_->at(sequence).n_entries();
}
Position Session::next_position(Sequence sequence) const {
  return impl_->at(sequence).next;
}

std::vector<Position> Session::positions(std::int32_t layer, std::int32_t head, Sequence sequence) const {
  const SequenceCells& state = impl_->at(sequence);
  const auto it = impl_->context.tap().layers().find(layer);
  if (it == impl_->context.tap().layers().end() || head < 0 || head >= it->second.n_head_kv)
    throw UsageError("there is no layer " + std::to_string(layer) + " with a KV head " +
                     std::to_string(head));
  std::vector<Position> result(std::size_t(state.n_entries()));
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = state.position(std::size_t(layer), std::size_t(head), std::int32_t(i));
  return result;
}

CacheUse Session::use(Sequence sequence) const {
  const auto used = impl_->at(sequence).n_entries();
  const auto all = impl_->context.n_cells();
  return {.cells_used = used,
          .cells_allocated = all,
          .bytes_used = std::uint64_t(used) * impl_->cell_bytes(),
          .bytes_allocated = std::uint64_t(all) * impl_->cell_bytes()};
}

CacheUse Session::use() const {
  CacheUse sum = use(0);
  sum.cells_used = impl_->context.n_cells() - impl_->n_free();
  sum.bytes_used = std::uint64_t(sum.cells_used) * impl_->cell_bytes();
  return sum;
}

}  // namespace chunkkv
