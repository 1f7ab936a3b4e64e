#include "scorers/scorers.h"

#include <algorithm>
#include <vector>

namespace chunkkv::eval {

double classification(std::string_view answer, std::string_view right, std::span<const std::string> classes) {
  std::vector<std::string_view> named;
  for (const std::string& name : classes)
    if (answer.find(name) != answer.npos) named.push_back(name);
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (named[i] != right && right.find(named[i]) != right.npos)
      named.erase(named.begin() + std::ptrdiff_t(i));
  }
  const bool found = std::find(named.begin(), named.end(), right) != named.end();
  return found ? 1.0 / double(named.size()) : 0;
}

}  // namespace chunkkv::eval
