#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Text as the reference scorers see it: Python's strings of code points.
namespace chunkkv::eval {

/// Bytes that are not UTF-8 become U+FFFD.
std::u32string code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);

/// str.lower(), but for the Greek final sigma.
std::string lower(std::string_view text);

bool is_space(char32_t c);                                    ///< str.isspace()
bool is_digit(char32_t c);                                    ///< \d
bool is_word(char32_t c);                                     ///< \w
std::vector<std::string> split_words(std::string_view text);  ///< str.split()

/// Longest prefix and suffix that begin and end between characters: what is left of a text cut at any byte.
std::string_view without_cut_end(std::string_view text);
std::string_view without_cut_begin(std::string_view text);

/// Offset of the first byte that is not UTF-8; npos when all of `text` is.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace chunkkv::eval
