#pragma once

#include "benchmark.h"

namespace chunkkv::eval {

/// Cuts the middle out of document + question when they have more than `max_length` tokens, as LongBench does
/// (arXiv 2308.14508, 3.1): the first and the last max_length / 2 tokens stay. The question still begins
/// where it began; where the cut removed that place, it is the text after the cut. With 0 nothing is cut.
void truncate_middle(std::string& document, std::string& question, std::int32_t max_length,
                     const Tokenizer& tokenizer);

}  // namespace chunkkv::eval
