#include "session/reading_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {
namespace {

/// First tokens that all compressions of a long reading keep, whatever the method: attention sinks, as
/// StreamingLLM (arXiv 2309.17453) found them.
constexpr std::int32_t kNSinks = 4;

}  // namespace

std::int32_t ReadingPlan::next(std::int32_t n_entries, std::int32_t left) const {
  if (n_entries + left + n_question_last + n_after <= cells) return left;
  const std::int32_t room = std::max(0, cells - n_question - n_entries);
  const std::int32_t whole = room < piece ? room : room / piece * piece;
  const std::int32_t count = std::min(whole, left - n_tail);
  // Read at least one token, if there is any room: some query must choose.
  return std::max(count, std::min(room, 1));
}

ReadingPlan plan_reading(const Reading& reading, const ReadingTask& task) {
  const Method& method = *reading.plan.method;
  if (task.n_tokens < 1) throw UsageError("the prompt is empty");
  if (reading.n_cells < 0 || reading.piece < 0 || reading.n_question < 0)
    throw UsageError("cells, piece and question of a reading must not be negative");
  if (reading.n_question >= task.n_tokens && reading.n_question > 0)
    throw UsageError(fmt::format("the question's {} tokens are no part of a prompt of {} tokens",
                                 reading.n_question, task.n_tokens));
  if (reading.n_cells > task.n_available)
    throw UsageError(fmt::format("{} cells are asked for, but only {} are the sequence's own or free",
                                 reading.n_cells, task.n_available));

  ReadingPlan plan;
  plan.cells = reading.n_cells > 0 ? reading.n_cells : task.n_available;
  plan.piece = reading.piece > 0 ? reading.piece : task.n_ubatch;
  plan.n_question = reading.observer == ObserverKind::window ? 0 : reading.n_question;
  plan.window = reading.observer != ObserverKind::question || plan.n_question == 0;
  plan.n_question_last = reading.keep_question ? 0 : plan.n_question;
  const std::int32_t n_tokens = task.n_tokens - (reading.keep_question ? 0 : reading.n_question);
  const ResolvedPlan whole = reading.plan.at(task.n_read + n_tokens, task.n_entries + n_tokens, 1);
  const ObservationRequest request = whole.method->request();
  plan.n_after = reading.keep_question && !reading.plan.at_once && !method.keeps_all() ? request.after : 0;
  plan.n_tail = std::max(reading.keep_question ? reading.n_question : 0,
                         request.queries == Queries::window ? request.window : 1);
  plan.budget = whole.target.budget;

  plan.protect_first = reading.plan.protect_first;
  if (task.n_entries + n_tokens + plan.n_question_last + plan.n_after <= plan.cells)
    return plan;  // a single piece
  const std::int32_t most_sinks = reading.plan.fit_window ? plan.budget / 2 : kNSinks;
  plan.protect_first = std::max(plan.protect_first, std::min(kNSinks, most_sinks));
  if (method.keeps_all())
    throw UsageError(
        fmt::format("the prompt has {} tokens, but there are {} cells, and method full drops nothing; "
                    "give more cells, or another method",
                    task.n_tokens, plan.cells));
  if (method.layer_budgets())
    throw UsageError(method.spec() + " can only compress a prompt that fits into the cache as a whole");
  const std::int64_t needed =
      std::int64_t(plan.budget) + std::max(plan.piece + plan.n_question, plan.n_tail + plan.n_after);
  if (needed > plan.cells)
    throw UsageError(
        fmt::format("{} cells do not hold a budget of {}, a piece of {} and a question of {} tokens; give at "
                    "least {} cells, or a smaller budget or piece",
                    plan.cells, plan.budget, plan.piece, plan.n_question, needed));
  return plan;
}

}  // namespace chunkkv
