#pragma once

#include "cli/options/options.h"
#include "cli/terminal/progress.h"
#include "text/sampler.h"

#include "benchmark.h"

#include <cstdint>
#include <optional>
#include <string>

namespace chunkkv::cli {

/// The arguments of `chunkkv eval NAME`.
struct EvalArguments {
  std::string name;
  eval::Options benchmark;
  std::optional<std::int32_t> max_length;

  ModelArguments model;
  bool no_chat_template = false;
  std::string methods = "full,streamingllm,snapkv,chunkkv";
  std::string keep = "50%,20%,10%";
  std::string query = "aware";
  std::int32_t cells = 0;
  std::string observer = "question";
  std::int32_t buffer = 0;
  std::int32_t parallel = 1;
  std::string prefill_type;  ///< "": the types of -ctk and -ctv
  bool separate_questions = false;
  std::int32_t predict = 0;
  text::Sampling sampling;

  std::string output;
  std::string shard = "1/1";
  bool skip_broken = false;
  bool dry_run = false;
  std::string prompts = "longbench";  ///< fidelity: the benchmark whose prompts are read
  ProgressArguments progress;
};

/// As text, the options not at their defaults that change answers and have no column in a line of results.
std::string settings(const EvalArguments& arguments);

/// The options of the session that reads the prompt: `options` with the cache types of --cache-type-prefill.
SessionOptions reading_options(const EvalArguments& arguments, SessionOptions options);

/// Tokens that the model's cache can hold: -c, or the trained context.
std::int32_t window(const EvalArguments& arguments, const Model& model);

/// The most tokens that a prompt may have before the chat template is added; 0: any number.
std::int32_t max_length(const EvalArguments& arguments, const Model& model);

/// Measures fidelity on a benchmark's prompts.
void run_fidelity(const EvalArguments& arguments);

/// Runs a benchmark, or with --dry-run prints what would be run.
void run_eval(const EvalArguments& arguments);

}  // namespace chunkkv::cli
