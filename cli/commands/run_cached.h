#pragma once

#include "cli/options/options.h"
#include "cli/options/prompt.h"

#include <cstdint>
#include <string>

namespace chunkkv::cli {

/// `run --cache`: a question about a prompt that was saved. Only the question is read; of a source, its last
/// tokens as well.
struct CachedRun {
  std::string file;
  ModelArguments model;
  PromptArguments prompt;
  CompressionArguments compression;  ///< for a source
  bool compression_given = false;
  text::Sampling sampling;
  std::int32_t predict = 256;
  bool json = false;
};

void run_cached(const CachedRun& run);

}  // namespace chunkkv::cli
