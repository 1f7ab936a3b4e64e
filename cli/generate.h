#pragma once

#include "sampler.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::cli {

/// Why an answer ended.
enum class Stop : std::uint8_t {
  end,      ///< the model ended it
  limit,    ///< -n tokens
  context,  ///< no free cell, or the model's trained positions are used up
  signal,   ///< Ctrl-C
};

std::string_view to_string(Stop stop);

struct Answer {
  std::string text;  ///< valid UTF-8
  std::vector<Token> tokens;
  Stop stop = Stop::limit;
  double first_ms = 0;                 ///< from the call to the first token
  std::optional<double> per_token_ms;  ///< mean of the tokens after the first, if there were any
};

/// Answers from the session's cache as it is: at most `n_predict` tokens, the first of them from `logits`.
/// `emit` gets the text as it comes, whole characters only.
Answer generate(Session& session, std::span<const float> logits, Sampler& sampler, std::int32_t n_predict,
                const std::function<void(std::string_view)>& emit);

}  // namespace chunkkv::cli
