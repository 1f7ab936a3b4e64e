#include "session/impl.h"
#include "session/kept_lengths.h"
#include "session/reading_plan.h"
#include "session/stopwatch.h"

#include <algorithm>

namespace chunkkv {
namespace {

constexpr const char* interrupted = "interrupted while reading the prompt";

/// The engine's attention adds up in single precision, and fast, only for at least so many tokens together.
constexpr std::size_t fast_batch = 64;

/// Tokens of the next micro-batch of a prompt of which `done` are read. It ends at multiples of the
/// micro-batch, so that a prompt read in several calls is computed as one read at once, but no small rest is
/// left.
std::size_t batch_size(std::size_t done, std::size_t left, std::size_t n_ubatch) {
  std::size_t most = n_ubatch - done % n_ubatch;
  if (most < fast_batch) most = n_ubatch;
  if (left <= most) return left;
  const std::size_t rest = left - most;
  return rest < fast_batch && most >= 2 * fast_batch ? left - fast_batch : most;
}

}  // namespace

std::int32_t Session::Impl::feed(SequenceState& state, Sequence sequence, std::span<const Token> tokens,
                                 Round& round) {
  SequenceCells& cells = state.cells;
  const auto now =
      tokens.first(batch_size(state.tokens.size(), tokens.size(), std::size_t(context.n_ubatch())));
  round.before(cells.n_entries(), std::int32_t(now.size()), cells.cells);
  context.hide(cells.hidden);
  state.newest_batch = cells.next;
  cells.append(context.decode(now, cells.next, sequence));
  state.tokens.insert(state.tokens.end(), now.begin(), now.end());
  round.after(cells.cells);
  return std::int32_t(now.size());
}

void Session::Impl::ask(SequenceState& state, Sequence sequence, std::span<const Token> question,
                        Round& round) {
  const SequenceCells& cells = state.cells;
  const std::vector<std::byte> fixed = context.fixed_part(sequence);
  const auto forget = [&] {
    context.set_fixed_part(sequence, fixed);
    context.remove(sequence, cells.next, -1);
  };
  try {
    for (std::size_t done = 0; done < question.size();) {
      const auto now =
          question.subspan(done, std::min(question.size() - done, std::size_t(context.n_ubatch())));
      round.before(cells.n_entries() + std::int32_t(done), std::int32_t(now.size()), cells.cells);
      context.decode(now, cells.next + Position(done), sequence);
      round.after(cells.cells);
      done += now.size();
    }
  } catch (...) {
    forget();
    throw;
  }
  forget();
}

void Session::Impl::start_prefill(std::span<const Token> tokens, std::span<const Plan> plans,
                                  Sequence sequence) {
  SequenceState& state = at(sequence);
  if (tokens.empty()) throw UsageError("the prompt is empty");
  model->require_tokens(tokens);
  for (const Plan& plan : plans) require_plan(plan);
  require_room(tokens.size());
  require_window_room(state, std::int64_t(tokens.size()), context.n_ubatch());
  const auto total = std::int32_t(tokens.size());
  call_off(state);
  state.selections.clear();
  last_prefilled = sequence;
  auto work = std::make_unique<Work>();
  work->tokens.assign(tokens.begin(), tokens.end());
  work->plans.assign(plans.begin(), plans.end());
  work->piece_end = tokens.size();
  work->now = {.total = total, .n_entries = state.cells.n_entries(), .n_compressions = state.n_compressions};
  work->shape = {.n_entries = state.cells.n_entries() + total,
                 .n_read = std::int32_t(state.tokens.size()) + total,
                 .share_layers = options.cache_positions,
                 .has_answer = true};
  const Stopwatch watch(timings.prefill);
  work->round = std::make_unique<Round>(context, work->plans, work->shape, state.history, timings);
  state.work = std::move(work);
}

void Session::Impl::start_read(std::span<const Token> tokens, const Reading& reading, Sequence sequence) {
  SequenceState& state = at(sequence);
  require_plan(reading.plan);
  model->require_tokens(tokens);
  require_window_room(state, std::int64_t(tokens.size()), context.n_ubatch());
  call_off(state);
  last_prefilled = sequence;
  const ReadingPlan plan = plan_reading(reading, {.n_tokens = std::int32_t(tokens.size()),
                                                  .n_read = std::int32_t(state.tokens.size()),
                                                  .n_entries = state.cells.n_entries(),
                                                  .n_available = state.cells.n_entries() + n_free(),
                                                  .n_ubatch = context.n_ubatch()});
  auto work = std::make_unique<Work>();
  const std::span<const Token> question = tokens.last(std::size_t(plan.n_question));
  work->question.assign(question.begin(), question.end());
  if (!reading.keep_question) tokens = tokens.first(tokens.size() - std::size_t(reading.n_question));
  work->tokens.assign(tokens.begin(), tokens.end());
  work->plans = {reading.plan};
  work->plans[0].protect_first = plan.protect_first;
  work->pieces = plan;
  work->keep_question = reading.keep_question;
  work->n_read = std::int32_t(state.tokens.size() + tokens.size());

  // Where the question observes attention, what it paid to a piece when that was new is remembered.
  const ObservationRequest request = reading.plan.method->request();
  const bool remembers = plan.n_question > 0 && request.queries == Queries::window &&
                         request.attention == AttentionKind::softmax &&
                         state.cells.n_entries() + std::int32_t(tokens.size()) + plan.n_last > plan.cells;
  if (remembers) work->highest = std::make_shared<AttentionHistory>();
  work->now = {.total = std::int64_t(tokens.size()),
               .n_entries = state.cells.n_entries(),
               .n_compressions = state.n_compressions};
  if (!tokens.empty()) state.work = std::move(work);
}

void Session::Impl::begin_piece(SequenceState& state, Work& work) {
  const ReadingPlan& plan = *work.pieces;
  const std::int32_t n_entries = state.cells.n_entries();
  const auto left = std::int32_t(work.tokens.size() - work.done());
  const std::int32_t count = plan.next(n_entries, left);
  const bool is_last = count == left;
  if (count == 0 && (plan.n_question == 0 || n_entries + plan.n_question > plan.cells))
    throw UsageError("the sequence's " + std::to_string(plan.cells) +
                     " cells are all in use: nothing can be read before it is compressed");
  work.piece_end = work.done() + std::size_t(count);
  work.shape = {.n_entries = n_entries + count,
                .n_read = work.n_read,
                .window = (is_last && work.keep_question) || plan.window,
                .n_question = is_last ? plan.n_last : plan.n_question,
                .share_layers = options.cache_positions,
                .highest = work.highest,
                .has_answer = is_last && plan.n_after > 0};
  work.round = std::make_unique<Round>(context, work.plans, work.shape, state.history, timings);
}

void Session::Impl::end_piece(SequenceState& state, Sequence sequence, Work& work) {
  await_answer(state, std::move(work.round));
  if (!work.pieces) return;
  if (state.awaiting) {
    compress_when_chosen(0, sequence);
    return;
  }
  const Selection& selection = state.selections[0];
  std::vector<std::size_t> unused;
  if (work.highest)
    work.highest->keep(with_one_length(selection.layers, state.cells.n_entries(), Surplus::fill, unused));
  compress(selection.layers, sequence, selection.surplus);
}

bool Session::Impl::step(Sequence sequence, const Progress& progress) {
  SequenceState& state = at(sequence);
  // What throws, and what changes the sequence, ends the reading.
  std::unique_ptr<Work> work = std::move(state.work);
  if (!work) return false;
  Stopwatch watch(timings.prefill);
  if (!work->round) {
    state.selections.clear();
    begin_piece(state, *work);
  }
  const std::span<const Token> piece(work->tokens.data() + work->done(), work->piece_end - work->done());
  if (!piece.empty()) {
    work->now.done += feed(state, sequence, piece, *work->round);
    work->now.n_entries = state.cells.n_entries();
    work->now.n_compressions = state.n_compressions;
    if (progress && !progress(work->now)) throw Interrupted(interrupted);
  }
  if (work->done() == work->piece_end) {
    if (work->shape.n_question > 0) ask(state, sequence, work->question, *work->round);
    watch.stop();
    end_piece(state, sequence, *work);
  }
  if (work->done() == work->tokens.size()) return false;
  state.work = std::move(work);
  return true;
}

ReadState Session::Impl::reading(Sequence sequence) {
  const SequenceState& state = at(sequence);
  if (!state.work) return {.n_entries = state.cells.n_entries(), .n_compressions = state.n_compressions};
  return state.work->now;
}

}  // namespace chunkkv
