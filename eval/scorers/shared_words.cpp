// Scores by the words that answer and reference share.
#include "scorers/scorers.h"
#include "unicode.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

namespace chunkkv::eval {
namespace {

using Words = std::vector<std::string>;

/// F1 of two bags of words: a word counts as often as both have it. 0 when they share none.
double shared_words_f1(Words answer, Words reference) {
  std::sort(answer.begin(), answer.end());
  std::sort(reference.begin(), reference.end());
  Words shared;
  std::set_intersection(answer.begin(), answer.end(), reference.begin(), reference.end(),
                        std::back_inserter(shared));
  if (shared.empty()) return 0;
  const double precision = double(shared.size()) / double(answer.size());
  const double recall = double(shared.size()) / double(reference.size());
  return 2 * precision * recall / (precision + recall);
}

/// The runs of a-z and 0-9 in the lower-cased text.
Words ascii_words(std::string_view text) {
  std::string kept = lower(text);
  for (char& c : kept)
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) c = ' ';
  return split_words(kept);
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

bool is_article(std::u32string_view word) {
  return word == U"a" || word == U"an" || word == U"the";
}

/// An article ends at any character that is no letter or digit, so "the “cat”" and "a–b" lose their articles.
Words normalised_words(std::string_view text) {
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

std::set<std::string> distinct_words(std::string_view text) {
  const Words words = ascii_words(text);
  return {words.begin(), words.end()};
}

}  // namespace

double qa_f1(std::string_view answer, std::string_view reference) {
  return shared_words_f1(normalised_words(answer), normalised_words(reference));
}

double rouge_1(std::string_view answer, std::string_view reference) {
  return shared_words_f1(ascii_words(answer), ascii_words(reference));
}

double word_share(std::string_view answer, std::string_view reference) {
  const std::set<std::string> wanted = distinct_words(reference), given = distinct_words(answer);
  if (wanted.empty()) return 0;
  const auto found = std::count_if(wanted.begin(), wanted.end(),
                                   [&](const std::string& word) { return given.contains(word); });
  return double(found) / double(wanted.size());
}

}  // namespace chunkkv::eval
