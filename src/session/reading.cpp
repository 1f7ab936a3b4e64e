#include "base/stopwatch.h"
#include "session/kept_lengths.h"
#include "session/micro_batches.h"
#include "session/reading_plan.h"
#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv {
namespace {

constexpr const char* kInterrupted = "interrupted while reading the prompt";

/// Counts the time of a reading, less that of observing and selecting, which is counted on its own.
class ReadingTime {
 public:
  explicit ReadingTime(Timings& timings)
      : timings_(timings), watch_(timings.prefill), others_(timings.observe + timings.select) {}
  ~ReadingTime() { stop(); }
  ReadingTime(const ReadingTime&) = delete;
  ReadingTime& operator=(const ReadingTime&) = delete;

  void stop() {
    if (!std::exchange(runs_, false)) return;
    watch_.stop();
    timings_.prefill -= timings_.observe + timings_.select - others_;
  }

 private:
  Timings& timings_;
  Stopwatch watch_;
  double others_;
  bool runs_ = true;
};

}  // namespace

std::int32_t SequenceState::feed(std::span<const Token> next, SelectionPass& pass) {
  const auto now = next.first(next_micro_batch(tokens.size(), next.size(), std::size_t(context.n_ubatch())));
  pass.before(cells.n_entries(), std::int32_t(now.size()), cells.cells);
  decode(segment(now, &pass));
  pass.after(cells.cells);
  return std::int32_t(now.size());
}

void SequenceState::ask(std::span<const Token> question, SelectionPass& pass) {
  const std::vector<std::byte> fixed = context.windows_and_states(id);
  const auto forget = [&] {
    context.set_windows_and_states(id, fixed);
    context.remove(id, cells.next, -1);
  };
  try {
    for (std::size_t done = 0; done < question.size();) {
      const auto now =
          question.subspan(done, std::min(question.size() - done, std::size_t(context.n_ubatch())));
      pass.before(cells.n_entries() + std::int32_t(done), std::int32_t(now.size()), cells.cells);
      engine::Segment ahead = segment(now, &pass);
      ahead.first += Position(done);
      context.decode({&ahead, 1});
      pass.after(cells.cells);
      done += now.size();
    }
  } catch (...) {
    forget();
    throw;
  }
  forget();
}

void Sequence::prefill(std::span<const Token> tokens, std::span<const Plan> plans, const Progress& progress) {
  start_prefill(tokens, plans);
  while (state_.step(progress)) continue;
}

std::int32_t Sequence::read(std::span<const Token> tokens, const Reading& reading, const Progress& progress) {
  const std::int32_t before = n_compressions();
  start_read(tokens, reading);
  while (state_.step(progress)) continue;
  return n_compressions() - before;
}

void Sequence::start_prefill(std::span<const Token> tokens, std::span<const Plan> plans) {
  SessionState& session = state_.session;
  if (tokens.empty()) throw UsageError("the prompt is empty");
  session.model->require_tokens(tokens);
  for (const Plan& plan : plans) require_plan(plan);
  session.require_room(tokens.size());
  state_.require_window_room(std::int64_t(tokens.size()), state_.context.n_ubatch());
  const auto total = std::int32_t(tokens.size());
  state_.cancel_waiting();
  state_.selections.clear();
  auto work = std::make_unique<Work>();
  work->tokens.assign(tokens.begin(), tokens.end());
  work->plans.assign(plans.begin(), plans.end());
  work->piece_end = tokens.size();
  work->now = {.total = total, .n_entries = n_entries(), .n_compressions = n_compressions()};
  work->shape = {.n_entries = n_entries() + total,
                 .n_read = std::int32_t(state_.tokens.size()) + total,
                 .share_layers = session.options.cache_positions,
                 .has_answer = true};
  const Stopwatch watch(session.timings.prefill);
  work->pass = std::make_unique<SelectionPass>(state_.context, work->plans, work->shape, state_.history,
                                               session.timings);
  state_.work = std::move(work);
}

void Sequence::start_read(std::span<const Token> tokens, const Reading& reading) {
  SessionState& session = state_.session;
  require_plan(reading.plan);
  session.model->require_tokens(tokens);
  state_.require_window_room(std::int64_t(tokens.size()), state_.context.n_ubatch());
  state_.cancel_waiting();
  const ReadingPlan plan = plan_reading(reading, {.n_tokens = std::int32_t(tokens.size()),
                                                  .n_read = std::int32_t(state_.tokens.size()),
                                                  .n_entries = n_entries(),
                                                  .n_available = n_entries() + session.n_free(),
                                                  .n_ubatch = state_.context.n_ubatch()});
  auto work = std::make_unique<Work>();
  const std::span<const Token> question = tokens.last(std::size_t(plan.n_question));
  work->question.assign(question.begin(), question.end());
  if (!reading.keep_question) tokens = tokens.first(tokens.size() - std::size_t(reading.n_question));
  work->tokens.assign(tokens.begin(), tokens.end());
  work->plans = {reading.plan};
  work->plans[0].protect_first = plan.protect_first;
  work->pieces = plan;
  work->keep_question = reading.keep_question;
  work->n_read = std::int32_t(state_.tokens.size() + tokens.size());

  // Where the question observes attention, each entry's highest score is remembered from piece to piece.
  const ObservationRequest request = reading.plan.method->request();
  const bool remembers = plan.n_question > 0 && request.queries == Queries::window &&
                         request.attention == AttentionKind::softmax &&
                         n_entries() + std::int32_t(tokens.size()) + plan.n_question_last > plan.cells;
  if (remembers) work->highest = std::make_shared<AttentionHistory>();
  work->now = {
      .total = std::int64_t(tokens.size()), .n_entries = n_entries(), .n_compressions = n_compressions()};
  if (!tokens.empty()) state_.work = std::move(work);
}

bool Sequence::step() {
  return state_.step({});
}

ReadState Sequence::reading() const {
  if (!state_.work) return {.n_entries = n_entries(), .n_compressions = n_compressions()};
  return state_.work->now;
}

void SequenceState::begin_piece(Work& piece) {
  const ReadingPlan& plan = *piece.pieces;
  const std::int32_t n_entries = cells.n_entries();
  const auto left = std::int32_t(piece.tokens.size() - piece.done());
  const std::int32_t count = plan.next(n_entries, left);
  const bool is_last = count == left;
  if (count == 0 && (plan.n_question == 0 || n_entries + plan.n_question > plan.cells))
    throw UsageError(fmt::format(
        "the sequence's {} cells are all in use: nothing can be read before it is compressed", plan.cells));
  piece.piece_end = piece.done() + std::size_t(count);
  piece.shape = {.n_entries = n_entries + count,
                 .n_read = piece.n_read,
                 .window = (is_last && piece.keep_question) || plan.window,
                 .n_question = is_last ? plan.n_question_last : plan.n_question,
                 .share_layers = session.options.cache_positions,
                 .highest = piece.highest,
                 .has_answer = is_last && plan.n_after > 0};
  piece.pass = std::make_unique<SelectionPass>(context, piece.plans, piece.shape, history, session.timings);
}

void SequenceState::end_piece(Work& piece) {
  std::unique_ptr<SelectionPass> pass = std::move(piece.pass);
  collect(*pass);
  if (!pass->complete()) awaiting = std::move(pass);
  if (!piece.pieces) return;
  if (awaiting) {
    calls.compress_when_chosen();
    return;
  }
  const Selection& selection = selections[0];
  std::vector<std::size_t> unused;
  if (piece.highest)
    piece.highest->keep(equalized(selection.layers, cells.n_entries(), Uneven::keep_newest, unused));
  calls.compress(selection.layers, selection.uneven);
}

bool SequenceState::step(const Progress& progress) {
  // Taken out of `work`, so that an exception ends the reading, but the compression in end_piece does not.
  std::unique_ptr<Work> now = std::move(work);
  if (!now) return false;
  ReadingTime time(session.timings);
  if (!now->pass) {
    selections.clear();
    begin_piece(*now);
  }
  const std::span<const Token> piece(now->tokens.data() + now->done(), now->piece_end - now->done());
  if (!piece.empty()) {
    now->now.done += feed(piece, *now->pass);
    now->now.n_entries = cells.n_entries();
    now->now.n_compressions = n_compressions;
    if (progress && !progress(now->now)) throw Interrupted(kInterrupted);
  }
  if (now->done() == now->piece_end) {
    if (now->shape.n_question > 0) ask(now->question, *now->pass);
    time.stop();
    end_piece(*now);
  }
  if (now->done() == now->tokens.size()) return false;
  work = std::move(now);
  return true;
}

}  // namespace chunkkv
