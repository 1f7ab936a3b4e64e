#pragma once

#include <cstddef>
#include <string_view>

/// Places in a text where another sentence can be put in, in any script: ends of sentences as Unicode has
/// them (UAX #29, by ICU), where there are none nearby beginnings of lines, else of words (in Thai and the
/// like by ICU's dictionaries), else of characters. A line break alone ends no sentence: books are wrapped.
/// Offsets are bytes of UTF-8. The end of a sentence is before the blanks that follow it.
namespace chunkkv::eval {

/// The nearest end of a sentence; else before `at`.
std::size_t place_near(std::string_view text, std::size_t at);
/// At or before `at`.
std::size_t place_before(std::string_view text, std::size_t at);
/// At or after `at`.
std::size_t place_after(std::string_view text, std::size_t at);

}  // namespace chunkkv::eval
