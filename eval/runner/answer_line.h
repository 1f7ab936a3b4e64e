#pragma once

#include "runner/sweep.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// What all result lines of a run have in common.
struct RunFacts {
  results::Origin origin = {};
  results::Setting setting = {};  ///< without `query_aware` and `cells`, which the sweep knows
  /// Settings not at their defaults that change only answers to prompts read in pieces, as text: "ub=256".
  std::string bounded_settings = {};
};

/// The record of one question to the model under one pair, still without its answer and score. `n_prompt`:
/// tokens that are read before compression; `data`: the sample's digest.
results::AnswerRecord question_record(const RunFacts& facts, const Sweep& sweep, std::size_t pair,
                                      const Sample& sample, std::size_t question, std::int32_t n_prompt,
                                      const std::string& data);

/// Number of first tokens of an answer that are left out to compare methods that observe them with others.
inline constexpr std::size_t kFirstTokens = 16;
/// The answer's text without these tokens; nothing where the answer has no others.
std::optional<std::string_view> answer_rest(const text::Answer& answer);

}  // namespace chunkkv::eval
