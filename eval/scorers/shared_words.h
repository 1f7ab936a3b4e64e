#pragma once

#include <string>
#include <vector>

namespace chunkkv::eval {

/// F1 of two bags of words: a word counts as often as both have it. 0 when they share none.
double shared_words_f1(std::vector<std::string> answer, std::vector<std::string> reference);

}  // namespace chunkkv::eval
