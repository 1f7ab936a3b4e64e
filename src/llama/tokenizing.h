#pragma once

#include <chunkkv/types.h>

#include <cstddef>
#include <string_view>
#include <vector>

struct llama_vocab;

namespace chunkkv::engine {

/// A bound on the bytes that a tokenizer's regular expression matches as one: what is between blanks, and the
/// blanks after it.
std::size_t longest_match(std::string_view text);

/// The engine splits text by regular expressions, for many vocabularies (tekken, gpt-4o, deepseek, ...) with
/// a matcher that calls itself for each character of a match. So this happens on a stack that holds
/// `longest_match`. Error when the text is too long, or what is matched is longer than `kLongestMatch`.
std::vector<Token> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                            bool parse_special);

/// Bytes of stack for each byte of a match, and the longest match: a stack of 8 GiB, of which only what is
/// really needed is used.
inline constexpr std::size_t kStackForByte = 2048;
inline constexpr std::size_t kLongestMatch = std::size_t(4) << 20;

}  // namespace chunkkv::engine
