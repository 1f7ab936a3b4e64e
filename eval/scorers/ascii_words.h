#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// The runs of a-z and 0-9 in the lower-cased text.
std::vector<std::string> ascii_words(std::string_view text);

}  // namespace chunkkv::eval
