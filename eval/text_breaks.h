#pragma once

#include <cstddef>
#include <string_view>

/// Places in a text of any script where a sentence can be inserted: ends of sentences as Unicode defines them
/// (UAX #29, by ICU); where none is near, beginnings of lines, else boundaries of words (in Thai and similar
/// scripts by ICU's dictionaries), else of characters. A line break alone ends no sentence: books are
/// wrapped. Offsets are bytes of UTF-8. The end of a sentence is before the blanks that follow it.
namespace chunkkv::eval {

/// The end of a sentence nearest to `at`; where none is near, another place at or before `at`.
std::size_t place_near(std::string_view text, std::size_t at);
/// Such a place at or before `at`, the nearest of its kind.
std::size_t place_before(std::string_view text, std::size_t at);
/// Such a place at or after `at`, the nearest of its kind.
std::size_t place_after(std::string_view text, std::size_t at);

}  // namespace chunkkv::eval
