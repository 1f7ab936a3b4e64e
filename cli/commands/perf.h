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

/// The arguments of `chunkkv perf`.
struct PerfArguments {
  ModelArguments model;
  SyntheticArguments synthetic;
  PromptArguments prompt;
  std::string methods = "chunkkv,chunkkv:reuse=2,snapkv";
  std::string keep = "10%";
  std::int32_t n_prompt = 0;
  std::optional<std::int32_t> predict;
  std::vector<std::int32_t> inputs, outputs;  ///< numbers of tokens to read and to generate
  std::int32_t repetitions = 3;
  std::string output;
  bool json = false;
  ProgressArguments progress;
};

/// Measures latency, throughput and memory by input and output length.
void tabulate_speed(const PerfArguments& arguments);

}  // namespace chunkkv::cli
