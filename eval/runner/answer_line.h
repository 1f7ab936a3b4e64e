#pragma once

#include "runner/result_line.h"
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

/// The part of an answer's line that tells what is asked of whom; its `result_key` is the line's. `n_prompt`:
/// tokens that are read before compression; `data`: the sample's digest.
Json answer_identity(const RunFacts& facts, const Sweep& sweep, std::size_t pair, const Sample& sample,
                     std::size_t question, std::int32_t n_prompt, const std::string& data);

/// First tokens of an answer that are left out where methods that observe them are compared with others.
inline constexpr std::size_t kFirstTokens = 16;
/// The answer without them; nothing where it is not longer.
std::optional<std::string_view> answer_rest(const text::Answer& answer);

/// The whole line but for the score, which is null.
Json answer_line(Json identity, const RunFacts& facts, const Outcome& outcome);

/// Puts the score into a line; where it is undecided it stays null, and "undecided" tells why. `rest`: the
/// score of `answer_rest`.
void set_score(Json& line, const Score& score, std::optional<double> rest = std::nullopt);

}  // namespace chunkkv::eval
