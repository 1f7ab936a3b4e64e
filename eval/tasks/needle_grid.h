#pragma once

#include "benchmark.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// The prompt lengths to test, in tokens, each once. UsageError for an option out of its range.
std::vector<std::int32_t> needle_lengths(const Options& options);
/// The depths to test, 0..1, each once. UsageError for a depth out of range.
std::vector<double> needle_depths(const NeedleOptions& options);

/// Tokens left for the haystack in a prompt of `length` tokens that also holds the text `others`. It is made
/// of `n_parts` parts, each of which may take one more token where it meets its neighbours. UsageError when
/// fewer than 16 tokens are left.
std::size_t haystack_tokens(std::int32_t length, const std::string& others, std::size_t n_parts,
                            const Tokenizer& tokenizer);

}  // namespace chunkkv::eval
