#include "shared_words.h"

#include <algorithm>
#include <iterator>

namespace chunkkv::eval {

double shared_words_f1(std::vector<std::string> answer, std::vector<std::string> reference) {
  std::sort(answer.begin(), answer.end());
  std::sort(reference.begin(), reference.end());
  std::vector<std::string> shared;
  std::set_intersection(answer.begin(), answer.end(), reference.begin(), reference.end(),
                        std::back_inserter(shared));
  if (shared.empty()) return 0;
  const double precision = double(shared.size()) / double(answer.size());
  const double recall = double(shared.size()) / double(reference.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace chunkkv::eval
