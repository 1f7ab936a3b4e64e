#pragma once

#include "cli/options/options.h"
#include "cli/terminal/progress.h"

#include "benchmark.h"
#include "runner/sweep.h"

#include <cstdint>
#include <optional>
#include <string>

namespace chunkkv::cli {

/// The arguments of `chunkkv eval NAME`.
struct EvalArguments {
  std::string name;
  eval::Options benchmark;
  eval::SweepOptions sweep;  ///< without what `query`, `observer` and `no_chat_template` say as text
  std::optional<std::int32_t> max_length;

  ModelArguments model;
  bool no_chat_template = false;
  std::string methods = "full,streamingllm,snapkv,chunkkv";
  std::string keep = "50%,20%,10%";
  std::string query = "aware";
  std::string observer = "question";
  std::string prefill_type;  ///< "": the types of -ctk and -ctv

  std::string output;
  std::string shard = "1/1";
  bool skip_broken = false;
  bool dry_run = false;
  std::string prompts = "longbench";  ///< fidelity: the benchmark whose prompts are read
  ProgressArguments progress;
};

/// As text, the options not at their defaults that change answers and have no column in a line of results.
std::string settings(const EvalArguments& arguments);

/// The benchmark's options with the seed, 0 for a negative one, and the judge's key.
eval::Options benchmark_options(const EvalArguments& arguments);

/// Tokens that the model's cache can hold: -c, or the trained context.
std::int32_t window(const EvalArguments& arguments, const Model& model);

/// The most tokens that a prompt may have before the chat template is added; 0: any number.
std::int32_t max_length(const EvalArguments& arguments, const Model& model);

/// Measures fidelity on a benchmark's prompts.
void run_fidelity(const EvalArguments& arguments);

/// Runs a benchmark, or with --dry-run prints what would be run.
void run_eval(const EvalArguments& arguments);

}  // namespace chunkkv::cli
