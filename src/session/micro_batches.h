#pragma once

#include <cstddef>

/// Where a prompt is cut, so that what is read in several calls is computed as in one, on the CPU bit for
/// bit.
namespace chunkkv {

/// The engine's attention on the CPU takes so many queries together, and adds up in single precision, and
/// fast, only for at least so many. Where they are grouped in another way its sums are rounded in another
/// way, and scores that nearly tie change places.
inline constexpr std::size_t kQueryTile = 64;

/// Tokens of the next micro-batch of a prompt of which `done` are read and `left` are not. It ends at
/// multiples of the micro-batch, but leaves no rest of less than a tile.
std::size_t next_micro_batch(std::size_t done, std::size_t left, std::size_t n_ubatch);

/// First tokens of a prompt that can be read in a call of their own, the last `n_observed` not among them:
/// the others are then computed as in one reading. 0 where the prompt is too short.
std::size_t separable_length(std::size_t n_tokens, std::size_t n_observed, std::size_t n_ubatch);

/// The same for two prompts whose first `n_same` tokens agree, the shorter of `n_shorter` tokens: whole
/// micro-batches, and one more remains.
std::size_t shared_length(std::size_t n_same, std::size_t n_shorter, std::size_t n_ubatch);

}  // namespace chunkkv
