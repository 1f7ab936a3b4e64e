#pragma once

#include <chunkkv/types.h>

#include "session/attention_history.h"

#include <cstdint>

namespace chunkkv {

/// Divides `layer`'s scores (not negative) by each head's sum, gives each entry the highest of these
/// shares among the `span` entries around it, and raises that to the highest that the entry had before.
/// Updates `highest`.
///
/// A question attends less to a span the further away it is: in a prompt read in pieces, early spans would
/// lose to those that are merely near. So each entry keeps the share that it had when it was new. Entries
/// around it count too, as a question attends to words that it shares with the text, beside the answer.
void raise_to_running_maximum(AttentionHistory& highest, Scores& scores, std::int32_t layer,
                              std::int32_t span);

/// The length of a span for a budget: at most a sentence, and so short that the budget holds many spans.
std::int32_t span_for(std::int32_t budget);

}  // namespace chunkkv
