#pragma once

#include "base/stopwatch.h"
#include "cli/terminal/progress.h"
#include "results/file.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace chunkkv::cli {

/// A run of many items that writes its results to a file. The caller learns what the file holds already, a
/// line on standard error shows how far the run is, and a run that is stopped says how to continue it.
class Campaign {
 public:
  /// Describes the item in work. `share`: part of the whole run that is done, 0..1; `left`: how long the rest
  /// takes, as "12 min".
  using Describe = std::function<std::string(double share, const std::string& left)>;

  Campaign(const ProgressArguments& progress, std::chrono::seconds interval) : status_(progress, interval) {}

  /// Opens the file and gives each line that it holds to `learn`; does nothing where `path` is empty. With
  /// `read_only` the file is read, left as it is and not kept open. Errors as of `ResultFile`; UsageError
  /// when the command reads the file as an input.
  void open(const std::string& path, bool read_only, const std::function<void(const results::Json&)>& learn);
  /// The open file; null without one, and with `read_only`.
  results::ResultFile* file() { return file_.get(); }

  /// Calls `item` with 0, 1, ... in turn. `efforts`: the work of each item, in any unit. Interrupted, with
  /// `advice`, when a stop is requested.
  void run(std::span<const double> efforts, const std::function<void(std::size_t item)>& item);
  /// Calls `work`. When that throws, the status line is erased, and an Interrupted gets `advice`.
  void with_advice(const std::function<void()>& work);
  /// Shows how far the run is if a line is due. `part`: the effort done so far of the item in work. False
  /// when a stop is requested.
  bool report_progress(double part, const Describe& describe);

  StatusLine& status() { return status_; }
  /// How to continue a run that was stopped, as the end of a sentence; empty without a file.
  std::string advice() const;

 private:
  StatusLine status_;
  std::unique_ptr<results::ResultFile> file_;
  double effort_ = 1, done_ = 0;
  Timer timer_;
};

}  // namespace chunkkv::cli
