#pragma once

#include "cli/measure/campaign.h"

#include "runner/runner.h"

#include <memory>
#include <string>
#include <unordered_set>

namespace chunkkv::cli {

/// The results of a campaign of answers, in its file, or on standard output where none is named.
class Results {
 public:
  /// Opens the campaign's file. One that is only looked at stays as it is.
  Results(Campaign& campaign, const std::string& path, bool only_look);

  /// By key; a line without a score has none.
  eval::KnownScores& known() { return known_; }
  void write(const results::Json& line);

  /// Answers are kept in a file beside that of the results, FILE.unjudged, until a judge has seen them.
  void keep_unjudged();
  const eval::SavedAnswers& unjudged() const { return unjudged_; }
  void save_unjudged(const results::Json& line);
  /// Removes that file once all that it holds is judged.
  void drop_unjudged();

 private:
  Campaign& campaign_;
  eval::KnownScores known_;
  eval::SavedAnswers unjudged_;
  std::unordered_set<std::string> judged_;
  std::unique_ptr<results::ResultFile> unjudged_file_;
};

}  // namespace chunkkv::cli
