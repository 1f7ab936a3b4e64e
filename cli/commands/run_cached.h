#pragma once

#include "cli/options/options.h"
#include "cli/options/prompt.h"

#include <cstdint>
#include <string>

namespace chunkkv::cli {

/// The arguments of `run --cache`, a question about a saved prompt. Only the question is read, and before it
/// the tokens that the saved sequence had not read yet, as the last ones of a source.
struct CachedRun {
  std::string file;
  ModelArguments model;
  PromptArguments prompt;
  CompressionArguments compression;  ///< used for a source only
  bool compression_given = false;
  text::Sampling sampling;
  std::int32_t predict = 256;
  bool json = false;
};

void run_cached(const CachedRun& run);

}  // namespace chunkkv::cli
