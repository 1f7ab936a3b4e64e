#include "ascii_words.h"

#include "unicode.h"

namespace chunkkv::eval {

std::vector<std::string> ascii_words(std::string_view text) {
  std::string kept = lower(text);
  for (char& c : kept)
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) c = ' ';
  return split_words(kept);
}

}  // namespace chunkkv::eval
