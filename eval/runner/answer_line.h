#pragma once

#include "results/answer.h"
#include "runner/sweep.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// What all lines of a run have in common.
struct RunFacts {
  std::string benchmark;
  std::int32_t max_length = 0;
  std::uint64_t seed = 0;
  /// Everything else that changes answers and is not the default, as text; and what changes only those of
  /// prompts that are read in pieces.
  std::string settings, bounded_settings;
  std::string model;  ///< file name
  std::string model_hash;
  std::string version;
  std::string machine;
};

/// What is asked of whom. `n_prompt`: tokens that are read before compression; `data`: the sample's digest.
results::AnswerRecord asked(const RunFacts& facts, const Sweep& sweep, std::size_t pair, const Sample& sample,
                            std::size_t question, std::int32_t n_prompt, const std::string& data);

/// Adds what came of it.
void add_outcome(results::AnswerRecord& record, const Outcome& outcome);

/// First tokens of an answer that are left out where methods that observe them are compared with others.
inline constexpr std::size_t kFirstTokens = 16;
/// The answer without them; nothing where it is not longer.
std::optional<std::string_view> answer_rest(const text::Answer& answer);

}  // namespace chunkkv::eval
