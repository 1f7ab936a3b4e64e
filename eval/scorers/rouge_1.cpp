#include "rouge_1.h"

#include "ascii_words.h"
#include "shared_words.h"

namespace chunkkv::eval {

double rouge_1(std::string_view answer, std::string_view reference) {
  return shared_words_f1(ascii_words(answer), ascii_words(reference));
}

}  // namespace chunkkv::eval
