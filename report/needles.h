#pragma once

#include "report/results.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// Mean scores by the length of the haystack and the depth of the needle.
struct NeedleGrid {
  struct Map {
    Pair pair;
    std::vector<std::vector<std::optional<double>>> scores;  ///< [depth][length]; none: not measured
    double mean = 0;                                         ///< mean over all answers
  };

  std::string variant;          ///< the task type: "single", "key-value", ...
  std::vector<double> lengths;  ///< tokens, ascending
  std::vector<double> depths;   ///< 0 .. 1, ascending
  std::vector<Map> maps;        ///< in the order of listed_before()
};

/// One grid a variant; answers without length or depth are left out.
std::vector<NeedleGrid> needle_grids(std::span<const Answer* const> answers);

}  // namespace chunkkv::report
