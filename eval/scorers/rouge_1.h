#pragma once

#include <string_view>

namespace chunkkv::eval {

/// F1 of the words (runs of a-z and 0-9, lower case) that answer and reference share. ROUGE-1 of PyPI
/// `rouge-score` without stemming, the score of needle tests.
double rouge_1(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
