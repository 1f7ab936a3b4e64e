#include <chunkkv/error.h>
#include <chunkkv/plan.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace chunkkv {
namespace {

/// How many last entries the rule can protect at most. The chunks of a kvpress grid are counted over all
/// entries, and each chunk that holds a protected entry counts whole.
std::int32_t most_last(const Target& target, const SelectionRule& rule) {
  if (rule.rule != ChunkRule::kvpress) return target.n_entries;
  const ChunkCount chunks = kvpress_chunks(target, rule.chunk);
  const std::int32_t for_last = chunks.kept - rule.first / rule.chunk - (rule.first % rule.chunk != 0);
  return for_last < 1 ? 0 : target.n_entries - (chunks.all - for_last) * rule.chunk;
}

/// Last entries that a window method observes or always keeps.
std::int32_t asked_window(const Method& method, const SelectionRule& rule) {
  return std::max(method.request().window, rule.last);
}

/// The largest window that the budget leaves room for: half of it, or what a kvpress grid can protect.
std::int32_t fitting_window(const Plan& plan, const Target& target, SelectionRule rule) {
  rule.first = std::max(rule.first, plan.protect_first);
  return std::max(1, std::min(target.budget / 2, most_last(target, rule)));
}

/// Shrinks the method's own sinks and recent entries until they fit into the budget.
void fit(SelectionRule& rule, std::int32_t budget) {
  if (std::int64_t(rule.first) + rule.last <= budget) return;
  rule.first = std::min(rule.first, budget / 2);
  rule.last = std::min(rule.last, budget - rule.first);
}

}  // namespace

std::int32_t Plan::n_to_keep(std::int32_t n_read) const {
  constexpr std::int32_t kAll = std::numeric_limits<std::int32_t>::max();
  if (!method) throw UsageError("a plan needs a method; make one with make_method");
  if (method->keeps_all()) return kAll;
  if (!budget.is_fraction()) return budget.resolve(kAll);
  return std::max(budget.resolve(n_read), std::min(keep_at_least, n_read));
}

ResolvedPlan Plan::at(std::int32_t n_read, std::int32_t n_entries, std::int32_t n_layer) const {
  if (protect_first < 0 || protect_last < 0 || keep_at_least < 0)
    throw UsageError("a plan protects and keeps 0 entries or more");
  ResolvedPlan resolved;
  resolved.method = method;
  Target& target = resolved.target;
  target.n_entries = n_entries;
  const std::int32_t wanted = n_to_keep(n_read);
  target.budget = std::min(wanted, n_entries);
  const bool is_floor = budget.is_fraction() && !method->keeps_all() && wanted > budget.resolve(n_read);
  target.share = n_read == n_entries && !is_floor && !method->keeps_all() ? budget.share(n_read)
                                                                          : double(target.budget) / n_entries;
  if (is_floor) resolved.share_alone = budget.resolve(n_read);
  if (fit_window && method->request().queries == Queries::window && !resolved.keeps_all()) {
    const SelectionRule rule = method->rule(target);
    const std::int32_t asked = asked_window(*method, rule), window = fitting_window(*this, target, rule);
    auto smaller = window < asked ? method->with_window(window) : nullptr;
    if (smaller) {
      resolved.method = std::move(smaller);
      resolved.asked_window = asked;
      resolved.window = window;
    }
  }

  const Method& chosen = *resolved.method;
  resolved.layers.reserve(std::size_t(n_layer));
  for (std::int32_t layer = 0; layer < n_layer; ++layer) {
    if (layer > 0 && !chosen.layer_budgets()) {
      resolved.layers.push_back(resolved.layers.front());
      continue;
    }
    LayerTarget each{.target = target, .rule = {}};
    if (chosen.layer_budgets()) each.target.budget = chosen.layer_budget(target, layer, n_layer);
    each.rule = chosen.rule(each.target);
    if (fit_window) fit(each.rule, each.target.budget);
    each.rule.first = std::max(each.rule.first, protect_first);
    each.rule.last = std::max(each.rule.last, protect_last);
    check_selection(each.target, each.rule);
    resolved.layers.push_back(each);
  }
  return resolved;
}

}  // namespace chunkkv
