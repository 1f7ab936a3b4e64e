#include "first_line.h"

#include <algorithm>

namespace chunkkv::eval {

std::string_view first_line(std::string_view answer) {
  answer.remove_prefix(std::min(answer.find_first_not_of('\n'), answer.size()));
  return answer.substr(0, answer.find('\n'));
}

}  // namespace chunkkv::eval
