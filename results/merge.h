#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::results {

/// Several files of results as one.
struct Merged {
  std::string text;  ///< every result once, in the order in which they were found
  std::size_t n_lines = 0;
  std::size_t n_duplicates = 0;
  std::vector<std::string> conflicts;  ///< lines that differ from an earlier line of the same measurement;
                                       ///< the earlier one counts, as in a report
  std::vector<std::string> cut;        ///< files whose last line was cut short and is left out
};

/// Merges the files. Error with file and line when one holds something else than results.
Merged merge_results(std::span<const std::string> paths);

}  // namespace chunkkv::results
