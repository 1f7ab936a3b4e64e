#pragma once

#include <string_view>

namespace chunkkv::eval {

/// Share of the reference's distinct words (as in rouge_1) that occur in the answer.
double word_share(std::string_view answer, std::string_view reference);

}  // namespace chunkkv::eval
