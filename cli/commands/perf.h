#pragma once

#include "cli/measure/synthetic.h"
#include "cli/options/options.h"
#include "cli/options/prompt.h"
#include "cli/terminal/progress.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::cli {

/// What `chunkkv perf` is told.
struct PerfArguments {
  ModelArguments model;
  SyntheticArguments synthetic;
  PromptArguments prompt;
  std::string methods = "chunkkv,chunkkv:reuse=2,snapkv";
  std::string keep = "10%";
  std::int32_t n_prompt = 0;
  std::optional<std::int32_t> predict;
  std::vector<std::int32_t> inputs, outputs;  ///< tokens read and generated
  std::int32_t repetitions = 3;
  std::string output;
  bool json = false;
  ProgressArguments progress;
};

/// Full cache, kept one, and a plain prompt of the kept length, after one reading.
void compare_caches(const PerfArguments& arguments);

/// Latency, throughput and memory by input and output length.
void tabulate_speed(const PerfArguments& arguments);

}  // namespace chunkkv::cli
