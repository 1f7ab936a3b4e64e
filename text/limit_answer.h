#pragma once

#include <chunkkv/session.h>

#include <cstdint>

namespace chunkkv::text {

/// What the answer that comes next is held to: the plan's budget, or, where that is a share, what the
/// sequence holds now.
std::int32_t answer_budget(const Sequence& sequence, const Plan& plan);

/// Holds the answer to that: the cache is cut back whenever it has grown `buffer` entries beyond. Does
/// nothing for a method that keeps all, and where an answer of `n_predict` tokens does not come so far.
/// UsageError as in Sequence::compress_while_decoding.
void limit_answer(Sequence& sequence, Plan plan, std::int32_t buffer, std::int32_t n_predict);

/// UsageError as there, before a prompt of `n_prompt` tokens is read, where the answer could outgrow the
/// cells.
void require_answer_room(const Session& session, const Plan& plan, std::int32_t n_prompt, std::int32_t buffer,
                         std::int32_t n_predict);

}  // namespace chunkkv::text
