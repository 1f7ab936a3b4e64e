#pragma once

#include <cstddef>

/// Where a prompt is cut, so that several calls compute the same as one, on the CPU bit for bit.
namespace chunkkv {

/// The engine's attention on the CPU takes this many queries together, and its fast way, which sums in single
/// precision, needs at least as many. Other groups of queries round the sums in another way, and scores that
/// nearly tie change places.
inline constexpr std::size_t kQueryTile = 64;

/// Returns the size of the next micro-batch of a prompt of which `done` tokens are read and `left` are
/// not. It ends at a multiple of `n_ubatch`, with two exceptions. If that is less than a tile away, the
/// micro-batch has `n_ubatch` tokens; if less than a tile would be left, one of two tiles or more
/// leaves a whole tile.
std::size_t next_micro_batch(std::size_t done, std::size_t left, std::size_t n_ubatch);

/// Returns how many first tokens of a prompt can be read in a call of their own, so that the others, the last
/// `n_observed` among them, are computed as in a single call; 0 when the prompt is too short.
std::size_t separable_length(std::size_t n_tokens, std::size_t n_observed, std::size_t n_ubatch);

/// The same for two prompts whose first `n_same` tokens agree, the shorter one having `n_shorter` tokens:
/// whole micro-batches, such that at least one micro-batch of each remains.
std::size_t shared_length(std::size_t n_same, std::size_t n_shorter, std::size_t n_ubatch);

}  // namespace chunkkv
