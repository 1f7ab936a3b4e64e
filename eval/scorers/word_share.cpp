#include "word_share.h"

#include "ascii_words.h"

#include <algorithm>
#include <set>
#include <string>

namespace chunkkv::eval {
namespace {

std::set<std::string> distinct_words(std::string_view text) {
  const std::vector<std::string> words = ascii_words(text);
  return {words.begin(), words.end()};
}

}  // namespace

double word_share(std::string_view answer, std::string_view reference) {
  const std::set<std::string> wanted = distinct_words(reference), given = distinct_words(answer);
  if (wanted.empty()) return 0;
  const auto found = std::count_if(wanted.begin(), wanted.end(),
                                   [&](const std::string& word) { return given.contains(word); });
  return double(found) / double(wanted.size());
}

}  // namespace chunkkv::eval
