#include "cli/commands/perf.h"
#include "cli/options/option_group.h"

#include "cli/commands/commands.h"
#include "cli/measure/measure.h"
#include "cli/options/effects.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"
#include "results/line.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace chunkkv::cli {
namespace {

constexpr std::int32_t kPredict = 64;

std::vector<Token> read_tokens(const PerfArguments& arguments, const Model& model) {
  std::vector<Token> tokens =
      text::PromptLayout(model, arguments.prompt).tokens(read_prompt(arguments.prompt));
  if (arguments.n_prompt == 0) return tokens;
  if (tokens.size() < std::size_t(arguments.n_prompt))
    throw UsageError(fmt::format("the text has {} tokens, fewer than --n-prompt {}; give a longer one",
                                 tokens.size(), arguments.n_prompt));
  tokens.resize(std::size_t(arguments.n_prompt));
  return tokens;
}

/// Compares the time per token from the full cache, from the kept one and from a plain prompt of the kept
/// length. Each repetition of a method reads the prompt once for the first two.
void compare_caches(const PerfArguments& arguments) {
  const auto compression = [&](const std::string& spec) {
    return CompressionArguments{.method = spec, .keep = arguments.keep};
  };
  const std::vector<std::string> specs = split_methods(arguments.methods);
  for (const std::string& spec : specs) plan(compression(spec));  // finds errors before the model is loaded
  SessionOptions options = session_options(arguments.model);
  const std::int32_t n_predict = arguments.predict.value_or(kPredict);
  if (n_predict < 2) throw UsageError("the time per token needs two tokens or more; give a larger -n");

  const auto model = load_model(arguments.model);
  const std::vector<Token> tokens = read_tokens(arguments, *model);
  std::vector<Plan> plans;
  const auto n_prompt = std::int32_t(tokens.size());
  for (const std::string& spec : specs) {
    plans.push_back(plan_of(compression(spec), arguments.prompt, *model));
    const std::string changed = small_budget_note(plans.back().at(n_prompt, n_prompt, model->info().n_layer));
    if (!changed.empty()) print_error(fmt::format("{}: {}", spec, changed));
  }
  std::int32_t n_after = n_predict;
  for (const Plan& each : plans) n_after = std::max(n_after, each.method->request().after);
  options.n_cells = cells_for(arguments.model, *model, tokens.size(), n_after);
  const auto session = open_session(model, options);

  Measurement measurement(*session, tokens, n_predict, plans);
  for (std::int32_t i = 0; i < arguments.repetitions; ++i)
    for (std::size_t p = 0; p < plans.size(); ++p) {  // in turn, so that a slow minute affects all alike
      print_error(
          fmt::format("repetition {} of {}: {}\n", i + 1, arguments.repetitions, plans[p].method->spec()));
      ProgressDisplay display(arguments.progress);
      measurement.run(p, display.callback());
      display.finish();
      if (stop_requested()) throw Interrupted("interrupted");
    }
  print(arguments.json ? results::to_text(measurement.to_json()) : measurement.table());
}

/// UsageError for options that would have no effect. `speed`: the table by lengths is asked for.
void refuse_ineffective(const PerfArguments& arguments, const CLI::App& command, bool speed) {
  if (arguments.synthetic.shape.empty())
    refuse_without_effect(command, {"--synthetic-type"}, "without --synthetic");
  if (!speed) return;
  refuse_without_effect(command, {"--ctx-size"},
                        "on the table, where each repetition has a cache of its own");
  if (!arguments.inputs.empty()) refuse_without_effect(command, {"--n-prompt"}, "beside --inputs");
  if (!arguments.outputs.empty()) refuse_without_effect(command, {"--predict"}, "beside --outputs");
  if (!arguments.prompt.text && !arguments.prompt.file)
    refuse_without_effect(command,
                          {"--question", "--system-prompt", "--no-chat-template", "--no-special", "--escape"},
                          "on random tokens; give a text with -f or -p");
}

}  // namespace

void add_perf(CLI::App& app) {
  auto arguments = std::make_shared<PerfArguments>();
  CLI::App& command = *app.add_subcommand("perf", "measure what compression costs and gains on this machine");
  add_model_options(command, arguments->model);
  const OptionGroup own(command), model(command, "Model and cache");
  model.add(
      "--synthetic", arguments->synthetic.shape,
      "a model with random weights, as llama-3.1-8b or llama-3.1-8b:layers=2; written once, to -m FILE or "
      "the "
      "cache folder",
      "SHAPE");
  model.add("--synthetic-type", arguments->synthetic.type,
            fmt::format("type of its weights: f16, bf16, q8_0, ... (default: {})", arguments->synthetic.type),
            "TYPE");
  add_prompt_options(command, arguments->prompt);
  own.add("--methods", arguments->methods,
          fmt::format("methods to measure, separated by commas (default: {})", arguments->methods),
          "SPEC,SPEC");
  own.add("--keep", arguments->keep,
          fmt::format("what each keeps; with --inputs a list (default: {})", arguments->keep), "BUDGET");
  own.add("--n-prompt", arguments->n_prompt, "tokens of the text to read (default: all)", "N", 1, kMaxCount);
  own.add("-n,--predict,--n-predict", arguments->predict,
          fmt::format("tokens to generate from each cache (default: {})", kPredict), "N", 1, kMaxCount);
  own.add_list(
      "--inputs", arguments->inputs,
      "table of latency, throughput and memory: tokens to read, a list; random ones where no text is given",
      "N,N", 1, kMaxCount);
  own.add_list("--outputs", arguments->outputs, "with --inputs: tokens to generate, a list (default: 1024)",
               "N,N", 1, kMaxCount);
  own.add("-r,--repetitions", arguments->repetitions,
          fmt::format("repetitions, the methods in turn (default: {})", arguments->repetitions), "N", 1,
          1000);
  own.flag("--json", arguments->json, "print one JSON object");
  own.add(
      "-o,--output", arguments->output,
      "with --inputs: file of results, one JSON line a repetition; what it holds already is not done again",
      "FILE");
  add_progress_options(command, arguments->progress);
  command.callback([arguments, &command] {
    const bool speed = !arguments->inputs.empty() || !arguments->outputs.empty() ||
                       !arguments->output.empty() || !arguments->synthetic.shape.empty();
    refuse_ineffective(*arguments, command, speed);
    unescape(arguments->prompt);
    speed ? tabulate_speed(*arguments) : compare_caches(*arguments);
  });
}

}  // namespace chunkkv::cli
