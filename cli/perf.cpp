#include "commands.h"
#include "measure.h"
#include "options.h"
#include "output.h"
#include "prompt.h"
#include "report.h"
#include "signals.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace chunkkv::cli {
namespace {

struct PerfArguments {
  ModelArguments model;
  PromptArguments prompt;
  std::string methods = "chunkkv,chunkkv:reuse=2,snapkv";
  std::string keep = "10%";
  std::int32_t n_prompt = 0;
  std::int32_t predict = 64;
  std::int32_t repetitions = 3;
  bool json = false;
};

std::vector<Token> read_tokens(const PerfArguments& arguments, const Model& model) {
  std::vector<Token> tokens = model.tokenize(read_prompt(arguments.prompt), true, false);
  if (arguments.n_prompt == 0) return tokens;
  if (tokens.size() < std::size_t(arguments.n_prompt))
    throw UsageError(fmt::format("the text has {} tokens, fewer than --n-prompt {}; give a longer one",
                                 tokens.size(), arguments.n_prompt));
  tokens.resize(std::size_t(arguments.n_prompt));
  return tokens;
}

void perf(const PerfArguments& arguments) {
  std::vector<Plan> plans;
  for (const std::string& spec : split_methods(arguments.methods))
    plans.push_back(plan({.method = spec, .keep = arguments.keep}));
  SessionOptions options = session_options(arguments.model);

  const auto model = load_model(arguments.model);
  const std::vector<Token> tokens = read_tokens(arguments, *model);
  options.n_cells = cells_for(arguments.model, *model, tokens.size(), arguments.predict);
  const auto session = open_session(model, options);

  Measurement measurement(*session, tokens, arguments.predict, plans);
  for (std::int32_t i = 0; i < arguments.repetitions; ++i)
    for (std::size_t p = 0; p < plans.size(); ++p) {  // in turn, so that a slow minute strikes all alike
      print_error(
          fmt::format("repetition {} of {}: {}\n", i + 1, arguments.repetitions, plans[p].method->spec()));
      measurement.run(p);
      if (stop_requested()) throw Interrupted("interrupted");
    }
  print(arguments.json ? dump(measurement.to_json()) + "\n" : measurement.table());
}

}  // namespace

void add_perf(CLI::App& app) {
  auto arguments = std::make_shared<PerfArguments>();
  CLI::App& command = *app.add_subcommand("perf", "measure what compression costs and gains on this machine");
  add_model_options(command, arguments->model);
  add_prompt_options(command, arguments->prompt);
  command
      .add_option("--methods", arguments->methods,
                  fmt::format("methods to measure, separated by commas (default: {})", arguments->methods))
      ->option_text("SPEC,SPEC");
  command
      .add_option("--keep", arguments->keep, fmt::format("what each keeps (default: {})", arguments->keep))
      ->option_text("BUDGET");
  command.add_option("--n-prompt", arguments->n_prompt, "tokens of the text to read (default: all)")
      ->option_text("N")
      ->check(CLI::Range(1, 1 << 24));
  command
      .add_option("-n,--predict,--n-predict", arguments->predict,
                  fmt::format("tokens to generate from each cache (default: {})", arguments->predict))
      ->option_text("N")
      ->check(CLI::Range(2, 1 << 24));
  command
      .add_option("-r,--repetitions", arguments->repetitions,
                  fmt::format("repetitions, the methods in turn (default: {})", arguments->repetitions))
      ->option_text("N")
      ->check(CLI::Range(1, 1000));
  command.add_flag("--json", arguments->json, "print one JSON object");
  command.callback([arguments] { perf(*arguments); });
}

}  // namespace chunkkv::cli
