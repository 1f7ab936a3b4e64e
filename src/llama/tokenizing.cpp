#include "llama/tokenizing.h"

#include <chunkkv/error.h>

#include "llama/handles.h"
#include "llama/large_stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace chunkkv::engine {
namespace {

/// The most bytes of a match for which every thread's own stack is large enough.
constexpr std::size_t kShortMatch = 512;
/// Bytes of stack besides those for a match.
constexpr std::size_t kBaseStack = std::size_t(1) << 20;

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::vector<Token> tokenize_here(const llama_vocab* vocab, std::string_view text, bool add_special,
                                 bool parse_special) {
  std::vector<Token> tokens(text.size() + 8);
  const auto run = [&] {
    return llama_tokenize(vocab, text.data(), std::int32_t(text.size()), tokens.data(),
                          std::int32_t(tokens.size()), add_special, parse_special);
  };
  std::int32_t n = run();
  if (n < 0 && n != std::numeric_limits<std::int32_t>::min()) {
    tokens.resize(std::size_t(-n));
    n = run();
  }
  if (n < 0) throw Error("the text could not be split into tokens: it is too long");
  tokens.resize(std::size_t(n));
  return tokens;
}

}  // namespace

std::size_t longest_match(std::string_view text) {
  std::size_t blanks = 0, others = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_blank(text[end]) == is_blank(text[begin])) ++end;
    std::size_t& longest = is_blank(text[begin]) ? blanks : others;
    longest = std::max(longest, end - begin);
    begin = end;
  }
  return blanks + others;
}

std::vector<Token> tokenize(const llama_vocab* vocab, std::string_view text, bool add_special,
                            bool parse_special) {
  if (text.size() > std::size_t(std::numeric_limits<std::int32_t>::max()) - 8)
    throw Error("the text could not be split into tokens: it is too long; use one below 2 GiB");
  const std::size_t match = longest_match(text);
  if (match <= kShortMatch) return tokenize_here(vocab, text, add_special, parse_special);
  if (match > kLongestMatch)
    throw Error(
        fmt::format("the text holds {} bytes without blanks between them, or blanks in a row, and at most {} "
                    "can be split into tokens; put line ends into it",
                    match, kLongestMatch));
  std::vector<Token> tokens;
  run_on_large_stack(kBaseStack + match * kStackForByte,
                     [&] { tokens = tokenize_here(vocab, text, add_special, parse_special); });
  return tokens;
}

}  // namespace chunkkv::engine
