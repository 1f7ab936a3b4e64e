#include "scorers/scorers.h"
#include "unicode.h"

#include <algorithm>
#include <string>
#include <vector>

namespace chunkkv::eval {
namespace {

std::size_t common_subsequence(std::u32string_view a, std::u32string_view b) {
  std::vector<std::size_t> row(b.size() + 1, 0);  // [j]: length, for a so far and the first j of b
  for (const char32_t c : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = c == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

/// The first line that is no comment or fence; empty when there is none.
std::string_view first_code_line(std::string_view answer) {
  answer.remove_prefix(std::min(answer.find_first_not_of('\n'), answer.size()));
  while (!answer.empty()) {
    const std::size_t end = std::min(answer.find('\n'), answer.size());
    const std::string_view line = answer.substr(0, end);
    if (line.find_first_of("`#") == line.npos && line.find("//") == line.npos) return line;
    answer.remove_prefix(std::min(end + 1, answer.size()));
  }
  return {};
}

}  // namespace

double indel_similarity(std::string_view a, std::string_view b) {
  const std::u32string x = code_points(a), y = code_points(b);
  const std::size_t total = x.size() + y.size();
  return total == 0 ? 1 : 2.0 * double(common_subsequence(x, y)) / double(total);
}

double code_similarity(std::string_view answer, std::string_view reference) {
  return indel_similarity(first_code_line(answer), reference);
}

}  // namespace chunkkv::eval
