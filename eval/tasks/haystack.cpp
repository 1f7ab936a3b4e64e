#include "tasks/haystack.h"

#include "unicode.h"

#include <algorithm>

namespace chunkkv::eval {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool ends_sentence(std::string_view text, std::size_t at) {
  if (at < text.size() && !is_blank(text[at])) return false;
  std::string_view before = text.substr(0, at);
  if (before.ends_with('"') || before.ends_with(')')) before.remove_suffix(1);
  return before.ends_with('.') || before.ends_with('!') || before.ends_with('?');
}

std::string repeated(std::string_view text, std::size_t begin, std::size_t size) {
  std::string result(text.substr(begin, size));
  while (result.size() < size) {
    result += "\n\n";
    result += text.substr(0, size - result.size());
  }
  return result;
}

}  // namespace

std::size_t sentence_end(std::string_view text, std::size_t at) {
  for (at = std::min(at, text.size()); at > 0; --at)
    if (ends_sentence(text, at)) return at;
  return 0;
}

std::string cut_haystack(std::string_view text, std::size_t begin, std::size_t n_tokens,
                         const Tokenizer& tokenizer) {
  while (begin > 0 && begin < text.size() && !ends_sentence(text, begin)) ++begin;
  while (begin < text.size() && is_blank(text[begin])) ++begin;
  if (begin == text.size()) begin = 0;

  std::vector<Token> tokens;
  for (std::size_t size = 6 * n_tokens; tokens.size() < n_tokens; size *= 2)
    tokens = tokenizer.encode(without_cut_end(repeated(text, begin, size)));
  const std::string cut = tokenizer.decode(std::span(tokens).first(n_tokens));
  const std::size_t end = sentence_end(cut, cut.size());
  return std::string(end > 0 ? std::string_view(cut).substr(0, end) : without_cut_end(cut));
}

std::string hide(std::string_view haystack, std::vector<Needle> needles, const Tokenizer& tokenizer) {
  const std::vector<Token> tokens = tokenizer.encode(haystack);
  std::stable_sort(needles.begin(), needles.end(),
                   [](const Needle& a, const Needle& b) { return a.depth < b.depth; });
  std::string result;
  std::size_t done = 0;
  for (const Needle& needle : needles) {
    const auto n_before = std::size_t(needle.depth * double(tokens.size()));
    const std::size_t near =
        needle.depth < 1 ? tokenizer.decode(std::span(tokens).first(n_before)).size() : haystack.size();
    const std::size_t at = std::max(done, sentence_end(haystack, near));
    result += haystack.substr(done, at - done);
    if (!result.empty()) result += ' ';
    result += needle.sentence;
    done = at;
  }
  if (done == 0) result += ' ';  // elsewhere the text goes on with the blank after a sentence
  result += haystack.substr(done);
  return result;
}

}  // namespace chunkkv::eval
