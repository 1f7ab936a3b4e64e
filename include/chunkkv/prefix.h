#pragma once

#include <chunkkv/plan.h>
#include <chunkkv/sequence.h>
#include <chunkkv/snapshot.h>
#include <chunkkv/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// The beginning of a prompt, read once for several prompts. Where it is cut decides whether the rest is
/// computed as it is when all is read as one prompt: on the CPU bit for bit.
namespace chunkkv {

/// Last tokens of a prompt whose queries such a plan reads one by one.
std::size_t observed_length(const Plan& plan);

/// How many of a prompt's first tokens a source can hold for such a plan, so that the others are computed
/// with a question as in a prompt read at once; 0 where the prompt is too short for one.
std::size_t source_length(std::size_t n_tokens, const Plan& plan, std::int32_t n_ubatch);

/// How many first tokens of two prompts can be read once for both: whole micro-batches, and at least one
/// remains.
std::size_t shared_prefix(std::span<const Token> a, std::span<const Token> b, std::int32_t n_ubatch);
/// Whether a prompt begins with such a prefix and goes on for at least a micro-batch.
bool continues_prefix(std::span<const Token> prompt, std::span<const Token> prefix, std::int32_t n_ubatch);

/// Plans for the reading of a prefix: they collect what all queries attend to, where one of `plans`, which
/// choose when more is read, needs that.
std::vector<Plan> history_plans(std::span<const Plan> plans);
/// A copy of a sequence that was read with such plans. Sums of attention that lack some of its queries, as no
/// plan collected them, are left out.
Snapshot prefix_snapshot(const Sequence& sequence, std::span<const Plan> collected);
/// Whether a copy holds what `plan` needs to know of all queries.
bool has_history(const Snapshot& prefix, const Plan& plan);

}  // namespace chunkkv
