#pragma once

#include <string_view>

namespace chunkkv::eval {

/// 1 - insertions and deletions that turn one text into the other / characters of both; 1 for two empty
/// texts. fuzz.ratio / 100 of PyPI `rapidfuzz`.
double indel_similarity(std::string_view a, std::string_view b);

/// Likeness of the reference to the answer's first line that is no comment or fence. LongBench's
/// code_sim_score, with rapidfuzz's ratio, which fuzzywuzzy's rounds to whole percents.
double code_similarity(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
