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
    if (known) return;
    Plan& pair = pairs.emplace_back();
    pair.method = method;
    pair.budget = budget;
    pair.fit_window = true;  // so that no sample is too short for a pair
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

Shard Shard::parse(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto index = whole_number(text.substr(0, slash));
  const auto count = whole_number(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count || *index < 1 || *index > *count)
    throw UsageError(fmt::format("a shard is I/N with 1 <= I <= N, as 2/8, not '{}'", text));
  return {*index - 1, *count};
}

}  // namespace chunkkv::eval
