#include "text/limit_answer.h"

#include <fmt/format.h>

namespace chunkkv::text {

std::int32_t answer_budget(const Sequence& sequence, const Plan& plan) {
  return plan.budget.is_fraction() ? sequence.n_entries() : plan.n_to_keep(1);
}

void limit_answer(Sequence& sequence, Plan plan, std::int32_t buffer, std::int32_t n_predict) {
  if (plan.method->keeps_all()) return;
  const std::int32_t budget = answer_budget(sequence, plan);
  if (std::int64_t(sequence.n_entries()) + n_predict < std::int64_t(budget) + buffer) return;
  plan.budget = Budget::tokens(budget);
  sequence.compress_while_decoding(plan, buffer);
}

void require_answer_room(const Session& session, const Plan& plan, std::int32_t n_prompt, std::int32_t buffer,
                         std::int32_t n_predict) {
  if (plan.method->keeps_all()) return;
  const std::int32_t budget = plan.n_to_keep(n_prompt), n_cells = session.options().n_cells;
  if (n_predict < buffer || std::int64_t(budget) + buffer <= n_cells) return;
  throw UsageError(
      fmt::format("a budget of {} and a buffer of {} tokens do not fit into the {} cells of the cache; use a "
                  "smaller budget or buffer, or more cells",
                  budget, buffer, n_cells));
}

}  // namespace chunkkv::text
