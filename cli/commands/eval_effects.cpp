#include "cli/commands/eval_effects.h"

#include "cli/options/effects.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace chunkkv::cli {
namespace {

/// An option that only some benchmarks know.
struct OwnOption {
  const char* name;
  std::vector<std::string_view> benchmarks;
};

const std::vector<OwnOption>& own_options() {
  static const std::vector<OwnOption> all = {
      {"--lengths", {"niah", "multiturn"}},
      {"--depths", {"niah"}},
      {"--needles", {"niah"}},
      {"--repeats", {"niah", "multiturn"}},
      {"--shots", {"gsm8k", "gsm8k-manyshot"}},
      {"--questions", {"multiturn"}},
      {"--separate-questions", {"multiturn"}},
      {"--judge", {"jailbreakv"}},
      {"--judge-model", {"jailbreakv"}},
  };
  return all;
}

}  // namespace

void refuse_ineffective(const EvalArguments& arguments, const CLI::App& command) {
  const bool is_fidelity = arguments.name == "fidelity";
  if (is_fidelity) {
    refuse_without_effect(command,
                          {"--temp", "--top-k", "--top-p", "--min-p", "--ignore-eos", "--separate-questions",
                           "--observer", "--judge", "--judge-model"},
                          "on fidelity, which is measured along the full cache's own answer");
  } else {
    refuse_without_effect(command, {"--prompts"}, "on a benchmark; it chooses the prompts of fidelity");
    check_sampling(command, arguments.sampling);
  }
  const std::string& benchmark = is_fidelity ? arguments.prompts : arguments.name;
  for (const OwnOption& option : own_options()) {
    const auto& known = option.benchmarks;
    if (std::find(known.begin(), known.end(), benchmark) == known.end())
      refuse_without_effect(command, {option.name}, fmt::format("on {}", benchmark));
  }
  if (arguments.cells == 0) refuse_without_effect(command, {"--observer"}, "without --cells");
  if (arguments.benchmark.judge.url.empty())
    refuse_without_effect(command, {"--judge-model"}, "without --judge");
}

}  // namespace chunkkv::cli
