#pragma once

#include "benchmark.h"

namespace chunkkv::eval {

/// Cuts the middle out of document + question when they have more than `max_length` tokens, as LongBench does
/// (arXiv 2308.14508, 3.1): the first and the last max_length / 2 tokens stay. The question goes on beginning
/// where it began; where that place was cut away, what comes after the cut is the question. 0: nothing is
/// cut.
void truncate_middle(std::string& document, std::string& question, std::int32_t max_length,
                     const Tokenizer& tokenizer);

}  // namespace chunkkv::eval
