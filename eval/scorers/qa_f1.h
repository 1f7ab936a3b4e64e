#pragma once

#include <string_view>

namespace chunkkv::eval {

/// F1 of the words that both texts share, each counted as often as both have it. Texts are first lower-cased
/// and lose ASCII punctuation and articles. LongBench's qa_f1_score (arXiv 2308.14508), from SQuAD's.
double qa_f1(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
