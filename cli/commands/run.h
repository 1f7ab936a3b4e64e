#pragma once

#include "cli/options/bounded.h"
#include "cli/options/options.h"
#include "cli/options/prompt.h"
#include "cli/terminal/progress.h"
#include "text/generate.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace chunkkv::cli {

/// The arguments of `chunkkv run`.
struct RunArguments {
  std::optional<std::string> cache;
  ModelArguments model;
  CompressionArguments compression;
  bool compression_given = false;
  BoundedArguments bounded;
  PromptArguments prompt;
  text::Sampling sampling;
  ProgressArguments progress;
  std::int32_t predict = 256;
  bool compare = false;
  bool json = false;
};

/// Answers a question about a saved prompt (`--cache`). Only the question is read, and before it the tokens
/// that the saved sequence had not read yet, as the last ones of a source. Its compression is used for a
/// source only.
void run_cached(const RunArguments& arguments);

/// Lets the model answer with `n_predict` tokens at most, or none, and prints the answer as it comes unless
/// --json is given. `logits` and `compressed` are those of text::generate.
text::Answer answer(const RunArguments& arguments, Sequence& sequence, std::span<const float> logits,
                    std::int32_t n_predict, const std::function<Sequence&()>& compressed);

}  // namespace chunkkv::cli
