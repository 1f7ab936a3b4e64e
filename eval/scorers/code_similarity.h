#pragma once

#include <string_view>

namespace chunkkv::eval {

/// 1 - (insertions and deletions that turn one text into the other) / (characters of both); 1 for two empty
/// texts. It equals fuzz.ratio / 100 of PyPI `rapidfuzz`.
double indel_similarity(std::string_view a, std::string_view b);

/// Indel similarity of the reference and the answer's first line that is no comment or fence. LongBench's
/// code_sim_score, but with rapidfuzz's ratio: fuzzywuzzy's is rounded to whole percents.
double code_similarity(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
