#pragma once

#include "runner/result_file.h"
#include "runner/runner.h"

#include <memory>
#include <string>

namespace chunkkv::cli {

/// The file of results, or standard output where none is named.
class Results {
 public:
  /// A file that is only looked at stays as it is.
  Results(const std::string& path, bool only_look);

  /// By key; a line without a score has 0.
  const eval::KnownScores& known() const { return known_; }
  void write(const eval::Json& line);
  /// How a run that was stopped goes on.
  std::string advice() const;

 private:
  eval::KnownScores known_;
  std::unique_ptr<eval::ResultFile> file_;
};

}  // namespace chunkkv::cli
