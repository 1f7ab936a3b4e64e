#include "runner/pairs.h"

#include <chunkkv/registry.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace chunkkv::eval {
namespace {

std::optional<std::size_t> whole_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<Plan> make_pairs(std::span<const std::string> methods, std::span<const std::string> keeps) {
  std::vector<Budget> budgets;
  for (const std::string& keep : keeps) budgets.push_back(Budget::parse(keep));
  std::vector<Plan> pairs;
  const auto add = [&](const std::shared_ptr<const Method>& method, const Budget& budget) {
    const bool known = std::any_of(pairs.begin(), pairs.end(), [&](const Plan& pair) {
      return pair.method->spec() == method->spec() && pair.budget == budget;
    });
    if (!known) pairs.push_back({.method = method, .budget = budget});
  };
  for (const std::string& spec : methods) {
    const auto method = make_method(spec);
    if (method->keeps_all()) {
      add(method, Budget());
      continue;
    }
    if (budgets.empty()) throw UsageError("no budget given; name some with --keep, as --keep 50%,10%");
    for (const Budget& budget : budgets) add(method, budget);
  }
  if (pairs.empty()) throw UsageError("no method given; name some with --methods, as --methods full,chunkkv");
  std::stable_partition(pairs.begin(), pairs.end(),
                        [](const Plan& pair) { return pair.method->keeps_all(); });
  return pairs;
}

std::string to_string(const Plan& pair) {
  return fmt::format("{} at {}", pair.method->spec(), pair.budget.to_string());
}

std::string why_not(const Plan& plan, std::int32_t n_tokens, std::int32_t n_layer) {
  if (plan.method->keeps_all()) return {};
  const std::vector<float> any(std::size_t(n_tokens), 0.0F);
  Target target = {
      .n_entries = n_tokens, .budget = plan.budget.resolve(n_tokens), .share = plan.budget.share(n_tokens)};
  const Target mean = target;
  try {
    for (std::int32_t layer = 0; layer < (plan.method->layer_budgets() ? n_layer : 1); ++layer) {
      target.budget = plan.method->layer_budget(mean, layer, n_layer);
      SelectionRule rule = plan.method->selection(target);
      rule.first = std::max(rule.first, plan.protect_first);
      rule.last = std::max(rule.last, plan.protect_last);
      select(any, target, rule);
    }
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

Shard Shard::parse(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto index = whole_number(text.substr(0, slash));
  const auto count = whole_number(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count || *index < 1 || *index > *count)
    throw UsageError(fmt::format("a shard is I/N with 1 <= I <= N, as 2/8, not '{}'", text));
  return {*index - 1, *count};
}

}  // namespace chunkkv::eval
