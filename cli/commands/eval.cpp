#include "cli/commands/eval.h"
#include "cli/options/option_group.h"

#include "cli/commands/commands.h"
#include "cli/files/inputs.h"
#include "cli/options/effects.h"
#include "cli/terminal/output.h"

#include "results/file.h"
#include "results/merge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chunkkv::cli {
namespace {

void add_data_options(CLI::App& app, EvalArguments& arguments) {
  const OptionGroup options(app, "Benchmark");
  eval::Options& benchmark = arguments.benchmark;
  reads_file(options.add("--data", benchmark.data,
                         "folder with the benchmark's files, as its authors publish them", "DIR"));
  options.add("--tasks", benchmark.tasks, "only these tasks (default: all that are there)", "A,B")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  options.add("--limit", benchmark.limit, "records a task (default: all)", "N", 0, kMaxCount);
  options.add(
      "--max-length", arguments.max_length,
      "tokens of a prompt, cut in the middle; 0: never cut (default: the model's window less room to answer)",
      "N", 0, kMaxCount);
  options.add_list("--lengths", benchmark.needle.lengths,
                   "niah, multiturn's key-value: prompt lengths in tokens", "N,N", 1, kMaxCount);
  options.add_list("--depths", benchmark.needle.depths, "niah: where the needle goes, 0 to 1", "X,X", 0.0,
                   1.0);
  options.add(
      "--needles", benchmark.needle.needles,
      fmt::format("niah: needles, pairs or links of its variants (default: {})", benchmark.needle.needles),
      "N", 1, kMaxCount);
  options.add("--repeats", benchmark.needle.repeats,
              "niah, multiturn's key-value: samples of each length and depth (default: 1)", "N", 1,
              kMaxCount);
  options.add(
      "--shots", benchmark.shots,
      "gsm8k (default: 8) and gsm8k-manyshot (50): worked examples in the prompt; gsm8k with 0 asks for a "
      "chain "
      "of thought in the model's chat template",
      "N", 0, kMaxCount);
  options.add("--questions", benchmark.questions,
              fmt::format("multiturn: questions a document (default: {})", benchmark.questions), "N", 1,
              kMaxCount);
  options.add("--prompts", arguments.prompts,
              fmt::format("fidelity: the benchmark whose prompts are read (default: {})", arguments.prompts),
              "NAME");
  options.add(
      "--judge", benchmark.judge.url,
      "jailbreakv: OpenAI-compatible endpoint that judges answers; its key is read from CHUNKKV_JUDGE_KEY",
      "URL");
  options.add("--judge-model", benchmark.judge.model, "name that the endpoint knows the judge by", "NAME");
  options.add("--judge-tokens", benchmark.judge.tokens,
              fmt::format("tokens of a judge's reply at most, its thinking included (default: {})",
                          eval::kJudgeTokens),
              "N", 1, kMaxCount);
}

void add_comparison_options(CLI::App& app, EvalArguments& arguments) {
  const OptionGroup options(app, "Comparison");
  options.add("--methods", arguments.methods,
              fmt::format("methods to compare, see `chunkkv methods` (default: {})", arguments.methods),
              "SPEC,SPEC");
  options.add(
      "--keep", arguments.keep,
      fmt::format("budgets of each: shares or tokens; `full` runs once (default: {})", arguments.keep),
      "BUDGET,BUDGET");
  options
      .add("--query", arguments.query,
           "what compression sees: the question too (aware, default) or only the document (agnostic)",
           "aware|agnostic")
      ->check(CLI::IsMember({"aware", "agnostic"}));
  options.add("--cells", arguments.sweep.n_cells, "read each prompt in pieces with a cache of N cells", "N",
              1, kMaxCount);
  options
      .add("--observer", arguments.observer,
           "with --cells: whose queries choose: question (default), window (of the piece) or both", "WHO")
      ->check(CLI::IsMember({"question", "window", "both"}));
  options.add("--buffer", arguments.sweep.buffer,
              "hold answers to the budget as well: compress again whenever one has grown by N tokens over it",
              "N", 1, kMaxCount);
  options.add(
      "--parallel", arguments.sweep.parallel,
      "answer with so many pairs of method and budget together: faster, most of all on a GPU, for the memory "
      "of all they keep (default: 1)",
      "N", 1, 128);
  options.add(
      "--cache-type-prefill", arguments.prefill_type,
      "type of the cache while prompts are read; what is kept is converted to -ctk and -ctv. fidelity then "
      "compares with the full cache of this type",
      "TYPE");
  options.flag("--separate-questions", arguments.sweep.separate_questions,
               "ask each further question as if nothing had been answered before");
  options.add("-n,--predict,--n-predict", arguments.sweep.n_predict,
              "tokens of an answer (default: the benchmark's)", "N", 1, kMaxCount);
  options.flag("--no-chat-template", arguments.no_chat_template,
               "give all prompts as plain text, without the model's chat template");
}

void add_result_options(CLI::App& app, EvalArguments& arguments) {
  const OptionGroup options(app, "Results");
  options.add("-o,--output", arguments.output,
              "file of results, one JSON line an answer; what it holds already is not done again "
              "(default: standard output)",
              "FILE");
  options.add("--shard", arguments.shard,
              "only every N-th sample, from the I-th: the work of one of N machines", "I/N");
  options.flag("--skip-broken", arguments.skip_broken, "leave out records that cannot be used");
  options.flag("--dry-run", arguments.dry_run, "tell what would be run, and run nothing");
}

/// UsageError for an option that has no effect on the benchmark or without another option.
void refuse_ineffective(const EvalArguments& arguments, const CLI::App& command) {
  const bool is_fidelity = arguments.name == "fidelity";
  if (is_fidelity) {
    refuse_without_effect(command,
                          {"--temp", "--top-k", "--top-p", "--min-p", "--ignore-eos", "--separate-questions",
                           "--observer", "--judge", "--judge-model"},
                          "on fidelity, which is measured along the full cache's own answer");
  } else {
    refuse_without_effect(command, {"--prompts"}, "on a benchmark; it chooses the prompts of fidelity");
    check_sampling(command, arguments.sweep.sampling);
  }
  // Options that only some benchmarks know.
  static const std::vector<std::pair<const char*, std::vector<std::string_view>>> own_options = {
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
  const std::string& benchmark = is_fidelity ? arguments.prompts : arguments.name;
  for (const auto& [option, known] : own_options) {
    if (std::find(known.begin(), known.end(), benchmark) == known.end())
      refuse_without_effect(command, {option}, fmt::format("on {}", benchmark));
  }
  if (arguments.sweep.n_cells == 0) refuse_without_effect(command, {"--observer"}, "without --cells");
  if (arguments.benchmark.judge.url.empty())
    refuse_without_effect(command, {"--judge-model"}, "without --judge");
}

void list_benchmarks() {
  std::string text;
  for (const eval::BenchmarkInfo& info : eval::benchmarks()) {
    text += fmt::format("{}\n  {}\n  data: {}\n", info.name, info.description, info.data);
    if (!info.tasks.empty()) text += fmt::format("  tasks: {}\n", fmt::join(info.tasks, ", "));
  }
  text +=
      "fidelity\n  how near a compressed cache is to the full one, on the prompts of another benchmark "
      "(--prompts): KL divergence, agreement, lost keys and values, attention\n";
  print(text);
}

struct MergeArguments {
  std::vector<std::string> files;
  std::string output;
};

void merge(const MergeArguments& arguments) {
  OutputFile file(arguments.output);
  const results::ResultLock lock(arguments.output);
  const results::Merged merged = results::merge_results(arguments.files);
  file.commit(merged.text);
  for (const std::string& path : merged.cut)
    print_error(fmt::format("'{}' ends in a line that was cut short; it is left out\n", path));
  for (const std::string& conflict : merged.conflicts)
    print_error(fmt::format("conflict: {}; the first one is kept\n", conflict));
  print_error(fmt::format("{} results in '{}', {} duplicates dropped, {} conflicts\n", merged.n_lines,
                          arguments.output, merged.n_duplicates, merged.conflicts.size()));
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("eval", "compare methods and budgets on a benchmark");
  command.require_subcommand(0, 1);

  auto arguments = std::make_shared<EvalArguments>();
  command.add_option("NAME", arguments->name, "benchmark, see `chunkkv eval list`; or fidelity");
  add_data_options(command, *arguments);
  add_comparison_options(command, *arguments);
  add_result_options(command, *arguments);
  add_progress_options(command, arguments->progress);
  add_model_options(command, arguments->model, "what the model was trained for");
  add_sampling_options(command, arguments->sweep.sampling);
  command.callback([arguments, &command] {
    if (!command.get_subcommands().empty()) return;
    refuse_ineffective(*arguments, command);
    if (arguments->name == "fidelity")
      run_fidelity(*arguments);
    else
      run_eval(*arguments);
  });

  command.add_subcommand("list", "list the benchmarks, their data and their tasks")->callback([&command] {
    refuse_parents_options(command);
    list_benchmarks();
  });

  auto files = std::make_shared<MergeArguments>();
  CLI::App& merging = *command.add_subcommand("merge", "join files of results, each result once");
  reads_file(merging.add_option("FILES", files->files, "files of results"))->required()->take_all();
  OptionGroup(merging).add("-o,--output", files->output, "file to write", "FILE")->required();
  merging.callback([files, &command] {
    refuse_parents_options(command);
    merge(*files);
  });
}

}  // namespace chunkkv::cli
