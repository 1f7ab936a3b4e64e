#pragma once

#include <chunkkv/session.h>

#include <cstdint>

namespace chunkkv::text {

/// Entries that the sequence is cut back to while it answers: the plan's number of tokens, or, where the
/// budget is a share, the entries that the sequence holds now.
std::int32_t answer_budget(const Sequence& sequence, const Plan& plan);

/// Lets `decode` compress the sequence to `answer_budget` whenever it has grown `buffer` entries beyond that.
/// Does nothing for a method that keeps all, and where an answer of `n_predict` tokens cannot grow so far.
/// UsageError as in Sequence::compress_while_decoding.
void limit_answer(Sequence& sequence, Plan plan, std::int32_t buffer, std::int32_t n_predict);

/// Checks before a prompt of `n_prompt` tokens is read: UsageError when the answer may fill `buffer` and the
/// cells cannot hold budget and buffer together.
void require_answer_room(const Session& session, const Plan& plan, std::int32_t n_prompt, std::int32_t buffer,
                         std::int32_t n_predict);

}  // namespace chunkkv::text
