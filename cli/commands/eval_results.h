#pragma once

#include "cli/measure/campaign.h"

#include "runner/runner.h"

#include <memory>
#include <string>
#include <unordered_set>

namespace chunkkv::cli {

/// The results of `eval`: written to the campaign's file, or to standard output where no file is named.
class Results {
 public:
  /// Opens the campaign's file as `Campaign::open` does and learns the scores that it holds.
  Results(Campaign& campaign, const std::string& path, bool read_only);

  /// The scores of the file's lines by `result_key`; nothing for a line without a score.
  eval::KnownScores& known() { return known_; }
  void write(const results::Json& line);

  /// From now on answers are kept in FILE.unjudged, beside the results, until a judge has seen them.
  void open_unjudged_file();
  const eval::SavedAnswers& unjudged() const { return unjudged_; }
  void save_unjudged(const results::Json& line);
  /// Removes FILE.unjudged if every answer in it is judged.
  void drop_unjudged();

 private:
  Campaign& campaign_;
  eval::KnownScores known_;
  eval::SavedAnswers unjudged_;
  std::unordered_set<std::string> judged_;
  std::unique_ptr<results::ResultFile> unjudged_file_;
};

}  // namespace chunkkv::cli
