#pragma once

#include "runner/result_file.h"
#include "runner/runner.h"

#include <memory>
#include <string>
#include <unordered_set>

namespace chunkkv::cli {

/// The file of results, or standard output where none is named.
class Results {
 public:
  /// A file that is only looked at stays as it is.
  Results(const std::string& path, bool only_look);

  /// By key; a line without a score has none.
  eval::KnownScores& known() { return known_; }
  void write(const eval::Json& line);

  /// Answers are kept in a file beside that of the results, FILE.unjudged, until a judge has seen them.
  void keep_unjudged();
  const eval::SavedAnswers& unjudged() const { return unjudged_; }
  void save_unjudged(const eval::Json& line);
  /// Removes that file once all that it holds is judged.
  void drop_unjudged();
  /// How a run that was stopped goes on.
  std::string advice() const;

 private:
  eval::KnownScores known_;
  eval::SavedAnswers unjudged_;
  std::unordered_set<std::string> judged_;
  std::unique_ptr<eval::ResultFile> file_, unjudged_file_;
};

}  // namespace chunkkv::cli
