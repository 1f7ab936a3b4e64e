#pragma once

#include <string>
#include <string_view>

namespace chunkkv {

/// JSON as Python's json module writes it, in terms that the standard knows: NaN, Infinity and -Infinity
/// become null; halves of surrogate pairs, escaped or encoded like characters, become U+FFFD. All other text
/// comes back as it is, also what is no JSON.
std::string standard_json(std::string_view text);

}  // namespace chunkkv
