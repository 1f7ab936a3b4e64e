#include "benchmark.h"

#include <algorithm>

namespace chunkkv::eval {

std::size_t find_stop(std::string_view answer, std::span<const std::string> stops) {
  const std::size_t begin = answer.find_first_not_of(" \t\r\n");
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, answer.find(stop, begin));
  return first;
}

}  // namespace chunkkv::eval
