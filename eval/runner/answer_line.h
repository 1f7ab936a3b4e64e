#pragma once

#include "runner/sweep.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// What all lines of a run have in common.
struct RunFacts {
  results::Origin origin = {};
  results::Setting setting = {};  ///< but for what the sweep knows: query and cells
  /// What else changes the answers to prompts that are read in pieces and is not the default, as text.
  std::string bounded_settings = {};
};

/// What is asked of whom. `n_prompt`: tokens that are read before compression; `data`: the sample's digest.
results::AnswerRecord asked(const RunFacts& facts, const Sweep& sweep, std::size_t pair, const Sample& sample,
                            std::size_t question, std::int32_t n_prompt, const std::string& data);

/// First tokens of an answer that are left out where methods that observe them are compared with others.
inline constexpr std::size_t kFirstTokens = 16;
/// The answer without them; nothing where it is not longer.
std::optional<std::string_view> answer_rest(const text::Answer& answer);

}  // namespace chunkkv::eval
