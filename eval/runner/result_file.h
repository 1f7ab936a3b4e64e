#pragma once

#include "runner/result_line.h"

#include <functional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// A file of results that grows by whole lines and can be continued after any interruption. One process at a
/// time writes it.
class ResultFile {
 public:
  /// Opens or creates `path`, gives `visit` every line that it holds, and removes a last line that was cut
  /// short. Error, with the file untouched, when it cannot be written, another process is writing it, or
  /// it holds something else than results.
  explicit ResultFile(std::string path, const std::function<void(const Json&)>& visit = {});
  ~ResultFile();
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  /// Adds a line: when this returns it is on the disk, and before nothing of it counts. Error when the disk
  /// is full; the file is then as it was before.
  void append(const Json& line);

  const std::string& path() const { return path_; }
  std::size_t n_lines() const { return n_lines_; }
  /// True when a line cut short was removed.
  bool repaired() const { return repaired_; }

 private:
  void read(const std::function<void(const Json&)>& visit);
  void write(std::string_view text);

  std::string path_;
  int descriptor_ = -1;
  std::size_t n_lines_ = 0;
  bool repaired_ = false;
};

/// Calls `visit` with every line of results in `path` and its number, from 1. Returns what follows the last
/// newline: empty, unless the file was cut. Error with file and line when a line is no result.
std::string read_results(const std::string& path,
                         const std::function<void(Json&& line, std::size_t number)>& visit);

}  // namespace chunkkv::eval
