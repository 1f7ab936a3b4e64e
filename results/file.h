#pragma once

#include "results/line.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::results {

/// A file of results that grows by whole lines and can be continued after any interruption. One process at a
/// time writes it: it holds a lock (flock) on the file.
class ResultFile {
 public:
  /// Opens or creates `path`, gives `visit` every line that it holds, and removes a last line that was cut
  /// short and blanks at the end. Error, with the file untouched, when it cannot be written, another process
  /// is writing it, or it holds something else than results.
  explicit ResultFile(std::string path, const std::function<void(const Json&)>& visit = {});
  ~ResultFile();
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  /// Adds a line. When this returns the line is on the disk; until then nothing of it counts. Error when the
  /// disk is full; the file is then as it was before. Error, too, when the path does not name the file any
  /// more, as after it was removed, renamed or replaced: what is written would be lost.
  void append(const Json& line);

  const std::string& path() const { return path_; }
  std::size_t n_lines() const { return n_lines_; }
  /// True when a last line that was cut short was removed.
  bool repaired() const { return repaired_; }

 private:
  void open_locked();
  void read(const std::function<void(const Json&)>& visit);
  void cut(std::uint64_t n_bytes);
  void write(std::string_view text);

  std::string path_;
  int descriptor_ = -1;
  std::size_t n_lines_ = 0;
  bool repaired_ = false;
};

/// Keeps runs from writing a file of results while it is replaced; a file that is not there needs no lock.
class ResultLock {
 public:
  /// Error when a run is writing the file.
  explicit ResultLock(const std::string& path);
  ~ResultLock();
  ResultLock(const ResultLock&) = delete;
  ResultLock& operator=(const ResultLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// The text after a file's last newline: empty, unless the file was cut.
struct LastLine {
  std::string text;
  std::size_t number = 0;  ///< from 1
};

/// Calls `visit` with every line of results in `path` and its number, from 1, and returns what follows the
/// last newline. Skips blank lines. Error with file and line when a line is no result.
LastLine read_results(const std::string& path,
                      const std::function<void(Json&& line, std::size_t number)>& visit);

/// The result in a last line; none where it is blank or cut short. Error with file and line when it is
/// something else.
std::optional<Json> whole_result(const LastLine& last, const std::string& path);

}  // namespace chunkkv::results
