// Texts of users: methods with parameters ("chunkkv:chunk=20,reuse=2") and budgets ("10%").
#include "fuzz/target.h"

#include <chunkkv/budget.h>
#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include <cmath>

namespace {

using namespace chunkkv;
using fuzz::require;

void read_budget(std::string_view text) {
  try {
    const Budget budget = Budget::parse(text);
    require(Budget::parse(budget.to_string()) == budget, "a budget's text is the same budget");
    for (const std::int32_t n : {1, 7, 100000, 2147483647}) {
      const std::int32_t kept = budget.resolve(n);
      require(kept >= 1 && kept <= n, "a budget keeps 1 to all tokens");
      require(std::isfinite(budget.share(n)) && budget.share(n) <= 1, "a share is at most 1");
    }
  } catch (const UsageError&) {
  }
}

void read_method(std::string_view text) {
  try {
    const auto method = make_method(text);
    require(make_method(method->spec())->spec() == method->spec(), "a canonical spec is its own");
    require(method->reuse() >= 1 && method->request().window >= 0, "parameters are in range");
    const Target target{.n_entries = 1000, .budget = 500, .share = 0.5};
    const SelectionRule rule = method->rule(target);
    require(rule.first >= 0 && rule.last >= 0 && rule.chunk >= 1, "a rule counts entries");
    if (method->layer_budgets())
      for (std::int32_t layer = 0; layer < 8; ++layer) {
        const std::int32_t n = method->layer_budget(target, layer, 8);
        require(n >= 1 && n <= target.n_entries, "a layer keeps 1 to all entries");
      }
  } catch (const UsageError&) {
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = chunkkv::fuzz::as_text(data, size);
  read_budget(text);
  read_method(text);
  return 0;
}
