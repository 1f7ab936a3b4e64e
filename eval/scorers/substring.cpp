#include "scorers/scorers.h"
#include "unicode.h"

#include <algorithm>

namespace chunkkv::eval {

double substring_share(std::string_view answer, std::span<const std::string> references) {
  if (references.empty()) return 0;
  const std::string text = lower(answer);
  const auto found = std::count_if(references.begin(), references.end(), [&](const std::string& reference) {
    return text.find(lower(reference)) != std::string::npos;
  });
  return double(found) / double(references.size());
}

}  // namespace chunkkv::eval
