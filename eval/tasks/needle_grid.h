#pragma once

#include "benchmark.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Lengths to test at, and depths. UsageError when an option makes no sense.
std::vector<std::int32_t> needle_lengths(const Options& options);
std::vector<double> needle_depths(const NeedleOptions& options);

/// Tokens that are left for the haystack in a prompt of `length` tokens beside `others`, which are put
/// together of `n_parts`: each may be a token longer where it meets its neighbours. UsageError when there are
/// hardly any.
std::size_t haystack_tokens(std::int32_t length, const std::string& others, std::size_t n_parts,
                            const Tokenizer& tokenizer);

}  // namespace chunkkv::eval
