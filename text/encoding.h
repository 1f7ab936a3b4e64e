#pragma once

#include <string>
#include <string_view>

namespace chunkkv::text {

/// What to do about a text that is not UTF-8, as the end of a sentence: the command that converts it from the
/// encoding that it seems to have. `file` is its name, or empty for text that came from elsewhere.
std::string encoding_advice(std::string_view text, std::string_view file);

}  // namespace chunkkv::text
