#pragma once

#include <chunkkv/types.h>

#include <cstddef>
#include <string_view>
#include <vector>

struct llama_vocab;

namespace chunkkv::engine {

/// An upper bound on the bytes that a tokenizer's regular expression matches at once: the longest run without
/// blanks plus the longest run of blanks.
std::size_t longest_match(std::string_view text);

/// Splits a text into tokens. The engine does so by regular expressions, for many vocabularies (tekken,
/// gpt-4o, deepseek, ...) with a matcher that calls itself for each character of a match; so it runs on a
/// stack that is large enough for `longest_match`. Error when the text is too long (2 GiB) or `longest_match`
/// is above `kLongestMatch`.
std::vector<Token> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                            bool parse_special);

/// Bytes of stack for each byte of a match, and the most bytes of a match. Together they make a stack of 8
/// GiB, of which only what is really needed takes memory.
inline constexpr std::size_t kStackForByte = 2048;
inline constexpr std::size_t kLongestMatch = std::size_t(4) << 20;

}  // namespace chunkkv::engine
