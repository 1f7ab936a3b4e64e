#include "scorers/scorers.h"
#include "unicode.h"

#include <algorithm>

namespace chunkkv::eval {

double number_share(std::string_view answer, std::string_view right) {
  const std::u32string text = code_points(answer), wanted = code_points(right);
  std::size_t n_numbers = 0, n_right = 0;
  for (auto at = text.begin();;) {
    const auto begin = std::find_if(at, text.end(), is_digit);
    if (begin == text.end()) break;
    at = std::find_if_not(begin, text.end(), is_digit);
    ++n_numbers;
    if (std::u32string_view(begin, at) == wanted) ++n_right;
  }
  return n_numbers == 0 ? 0 : double(n_right) / double(n_numbers);
}

double paragraph_share(std::string_view answer, std::string_view reference) {
  constexpr std::string_view kLabel = "Paragraph ";
  for (std::size_t at = reference.find(kLabel); at != reference.npos; at = reference.find(kLabel, at + 1)) {
    const std::string_view rest = reference.substr(at + kLabel.size());
    const std::string_view number = rest.substr(0, rest.find_first_not_of("0123456789"));
    if (!number.empty()) return number_share(answer, number);
  }
  return 0;
}

}  // namespace chunkkv::eval
