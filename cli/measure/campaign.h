#pragma once

#include "cli/terminal/progress.h"
#include "results/file.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace chunkkv::cli {

/// A run of many items whose lines go to a file of results. What the file holds is not done again, a line on
/// standard error tells how far the run is, and one that is stopped tells how it goes on.
class Campaign {
 public:
  /// How the item in work is described, given the share of the whole run that is done, 0..1, and how long the
  /// rest takes, as "12 min".
  using Describe = std::function<std::string(double share, const std::string& left)>;

  Campaign(const ProgressArguments& progress, std::chrono::seconds interval) : status_(progress, interval) {}

  /// Opens the file and gives `learn` each line that it holds; does nothing where `path` is empty. A file
  /// that is only looked at stays as it is. Errors as of `ResultFile`; UsageError when it is one that is
  /// read.
  void open(const std::string& path, bool only_look, const std::function<void(const results::Json&)>& learn);
  /// The open file; null without one.
  results::ResultFile* file() { return file_.get(); }

  /// Does items 0, 1, ... in turn. Interrupted, with how the run goes on, when a stop is requested.
  void run(std::span<const double> efforts, const std::function<void(std::size_t item)>& item);
  /// Does `work`, with the same Interrupted, and takes the status line away where it fails.
  void guard(const std::function<void()>& work);
  /// Shows how far the run is where a line is due. `part`: what is done of the effort of the item in work.
  /// False when a stop is requested.
  bool tell(double part, const Describe& describe);

  StatusLine& status() { return status_; }
  /// How a run that was stopped goes on; empty without a file.
  std::string advice() const;

 private:
  using Clock = std::chrono::steady_clock;

  StatusLine status_;
  std::unique_ptr<results::ResultFile> file_;
  double effort_ = 1, done_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace chunkkv::cli
