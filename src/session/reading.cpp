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

void Session::Impl::feed(SequenceState& state, Sequence sequence, std::span<const Token> tokens, Round* round,
                         const std::function<bool(std::int32_t)>& on_batch) {
  SequenceCells& cells = state.cells;
  const auto n_ubatch = std::size_t(context.n_ubatch());
  for (std::size_t done = 0; done < tokens.size();) {
    const auto now = tokens.subspan(done, batch_size(state.tokens.size(), tokens.size() - done, n_ubatch));
    if (round != nullptr) round->before(cells.n_entries(), std::int32_t(now.size()), cells.cells);
    context.hide(cells.hidden);
    state.newest_batch = cells.next;
    cells.append(context.decode(now, cells.next, sequence));
    state.tokens.insert(state.tokens.end(), now.begin(), now.end());
    if (round != nullptr) round->after(cells.cells);
    done += now.size();
    if (!on_batch(std::int32_t(now.size()))) throw Interrupted(interrupted);
  }
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

void Session::Impl::prefill(std::span<const Token> tokens, std::span<const Plan> plans,
                            const Progress& progress, Sequence sequence) {
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
  Stopwatch watch(timings.prefill);
  const RoundShape shape{.n_entries = state.cells.n_entries() + total,
                         .n_read = std::int32_t(state.tokens.size()) + total,
                         .share_layers = options.cache_positions,
                         .has_answer = true};
  auto round = std::make_unique<Round>(context, plans, shape, state.history, timings);
  ReadState now{.total = total, .n_compressions = state.n_compressions};
  feed(state, sequence, tokens, round.get(), [&](std::int32_t count) {
    now.done += count;
    now.n_entries = state.cells.n_entries();
    return !progress || progress(now);
  });
  await_answer(state, std::move(round));
}

std::int32_t Session::Impl::read(std::span<const Token> tokens, const Reading& reading,
                                 const Progress& progress, Sequence sequence) {
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
  const std::span<const Token> question = tokens.last(std::size_t(plan.n_question));
  if (!reading.keep_question) tokens = tokens.first(tokens.size() - std::size_t(reading.n_question));
  Plan chosen = reading.plan;
  chosen.protect_first = plan.protect_first;
  const std::int32_t n_read = std::int32_t(state.tokens.size() + tokens.size());

  // Where the question observes attention, what it paid to a piece when that was new is remembered.
  const ObservationRequest request = chosen.method->request();
  const bool remembers = plan.n_question > 0 && request.queries == Queries::window &&
                         request.attention == AttentionKind::softmax &&
                         state.cells.n_entries() + std::int32_t(tokens.size()) + plan.n_last > plan.cells;
  const auto highest = remembers ? std::make_shared<AttentionHistory>() : nullptr;

  ReadState now{.total = std::int64_t(tokens.size())};
  std::int32_t compressions = 0;
  while (std::size_t(now.done) < tokens.size()) {
    const auto left = std::int32_t(tokens.size() - std::size_t(now.done));
    const std::int32_t count = plan.next(state.cells.n_entries(), left);
    const bool is_last = count == left;
    if (count == 0 && (plan.n_question == 0 || state.cells.n_entries() + plan.n_question > plan.cells))
      throw UsageError("the sequence's " + std::to_string(plan.cells) +
                       " cells are all in use: nothing can be read before it is compressed");
    const RoundShape shape{.n_entries = state.cells.n_entries() + count,
                           .n_read = n_read,
                           .window = (is_last && reading.keep_question) || plan.window,
                           .n_question = is_last ? plan.n_last : plan.n_question,
                           .share_layers = options.cache_positions,
                           .highest = highest,
                           .has_answer = is_last && plan.n_after > 0};
    Stopwatch watch(timings.prefill);
    auto round =
        std::make_unique<Round>(context, std::span<const Plan>(&chosen, 1), shape, state.history, timings);
    feed(state, sequence, tokens.subspan(std::size_t(now.done), std::size_t(count)), round.get(),
         [&](std::int32_t n) {
           now.done += n;
           now.n_entries = state.cells.n_entries();
           now.n_compressions = state.n_compressions;
           return !progress || progress(now);
         });
    if (shape.n_question > 0) ask(state, sequence, question, *round);
    watch.stop();
    state.selections.clear();
    await_answer(state, std::move(round));
    if (state.awaiting) {
      compress_when_chosen(0, sequence);
      break;
    }
    const Selection& selection = state.selections[0];
    std::vector<std::size_t> unused;
    if (highest)
      highest->keep(with_one_length(selection.layers, state.cells.n_entries(), Surplus::fill, unused));
    const std::int32_t before = state.n_compressions;
    compress(selection.layers, sequence, selection.surplus);
    compressions += state.n_compressions - before;
  }
  return compressions;
}

}  // namespace chunkkv
