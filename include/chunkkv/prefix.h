#pragma once

#include <chunkkv/plan.h>
#include <chunkkv/sequence.h>
#include <chunkkv/snapshot.h>
#include <chunkkv/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// The beginning of a prompt, read once for several prompts. These functions cut it where the rest is
/// computed as in a prompt that is read at once, on the CPU bit for bit.
namespace chunkkv {

/// Last tokens of a prompt whose queries `plan` observes; 0 for a method that observes all or none.
std::size_t observed_length(const Plan& plan);

/// How many first tokens of a prompt a source for `plan` can hold, so that the others, read with a question,
/// are computed as in a prompt read at once; 0 when the prompt is too short. UsageError without a method.
std::size_t source_length(std::size_t n_tokens, const Plan& plan, std::int32_t n_ubatch);

/// How many common first tokens of two prompts can be read once for both: whole micro-batches, such that at
/// least one micro-batch of each prompt remains.
std::size_t shared_prefix(std::span<const Token> a, std::span<const Token> b, std::int32_t n_ubatch);
/// Whether `prompt` begins with `prefix` and goes on for at least a micro-batch.
bool continues_prefix(std::span<const Token> prompt, std::span<const Token> prefix, std::int32_t n_ubatch);

/// Plans to read a prefix with: they sum the attention of all queries for those of `plans` that need the
/// sums. `plans` themselves choose only when the rest is read.
std::vector<Plan> history_plans(std::span<const Plan> plans);
/// Copies a sequence that was read with the plans `collected`. Without such plans it leaves the sums of
/// attention out, since they lack queries of the prefix.
Snapshot prefix_snapshot(const Sequence& sequence, std::span<const Plan> collected);
/// Whether `prefix` holds the sums of all queries' attention, if `plan` needs them.
bool has_history(const Snapshot& prefix, const Plan& plan);

}  // namespace chunkkv
