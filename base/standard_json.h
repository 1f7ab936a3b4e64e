#pragma once

#include <string>
#include <string_view>

namespace chunkkv {

/// Turns JSON as Python's json module writes it into standard JSON: NaN, Infinity and -Infinity become null;
/// lone halves of surrogate pairs, and surrogates encoded like characters, become U+FFFD. All other text is
/// returned as it is, even if it is no JSON.
std::string standard_json(std::string_view text);

}  // namespace chunkkv
