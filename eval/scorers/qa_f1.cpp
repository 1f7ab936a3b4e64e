#include "qa_f1.h"

#include "shared_words.h"
#include "unicode.h"

#include <algorithm>
#include <string>
#include <vector>

namespace chunkkv::eval {
namespace {

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

bool is_article(std::u32string_view word) {
  return word == U"a" || word == U"an" || word == U"the";
}

/// An article ends at any character that is no letter or digit, so "the “cat”" and "a–b" lose their articles.
std::vector<std::string> normalised_words(std::string_view text) {
  std::u32string kept = code_points(lower(text));
  std::erase_if(kept, is_ascii_punctuation);
  std::u32string result;
  for (auto at = kept.begin(); at != kept.end();) {
    const bool in_word = is_word(*at);
    const auto end = std::find_if(at, kept.end(), [&](char32_t c) { return is_word(c) != in_word; });
    const std::u32string_view run(at, end);
    result += is_article(run) ? U" " : run;
    at = end;
  }
  return split_words(to_utf8(result));
}

}  // namespace

double qa_f1(std::string_view answer, std::string_view reference) {
  return shared_words_f1(normalised_words(answer), normalised_words(reference));
}

}  // namespace chunkkv::eval
