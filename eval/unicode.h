#pragma once

#include "text/utf8.h"

#include <string>
#include <string_view>
#include <vector>

/// Text as the reference scorers, written in Python, see it: strings of code points.
namespace chunkkv::eval {

/// Decodes UTF-8; each byte that is not UTF-8 becomes U+FFFD.
std::u32string code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);

/// Python's str.lower(), except for the Greek final sigma.
std::string lower(std::string_view text);

bool is_space(char32_t c);                                    ///< as Python's str.isspace()
bool is_digit(char32_t c);                                    ///< as \d in Python's re
bool is_word(char32_t c);                                     ///< as \w in Python's re
std::vector<std::string> split_words(std::string_view text);  ///< as Python's str.split()

/// Removes an incomplete character from the end of a text that was cut at any byte.
std::string_view without_cut_end(std::string_view text);
/// Removes the bytes of an incomplete character from the beginning of such a text.
std::string_view without_cut_begin(std::string_view text);

using text::find_invalid_utf8;

}  // namespace chunkkv::eval
