#pragma once

#include <chunkkv/types.h>

#include "session/attention_history.h"

#include <cstdint>

namespace chunkkv {

/// Turns `layer`'s scores (not negative) into shares of each head's sum, gives each entry the highest share
/// among the `span` entries around it, and raises that to the highest that the entry had before;
/// `highest` is brought up to date.
///
/// A question pays less to a span the further away the span gets: of a prompt that is read in
/// pieces, the early ones would lose to what is merely near. So each entry keeps the rank that it had when it
/// was new. And a question attends to the words that it shares with the text; the answer stands beside them.
void raise_to_running_maximum(AttentionHistory& highest, Scores& scores, std::int32_t layer,
                              std::int32_t span);

/// The length of a span for a budget: up to a sentence, short enough that the budget holds many.
std::int32_t span_for(std::int32_t budget);

}  // namespace chunkkv
