#pragma once

#include "results/line.h"

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::results {

/// An open file, locked (flock) against runs and commands that write it. A file that is not there needs no
/// lock, and is not made without O_CREAT in `flags`.
class ResultLock {
 public:
  /// Error when another process holds the lock.
  explicit ResultLock(const std::string& path, int flags = O_RDONLY);
  ~ResultLock();
  ResultLock(const ResultLock&) = delete;
  ResultLock& operator=(const ResultLock&) = delete;

  /// Negative, with the reason in errno, where the file could not be opened.
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// A file of results that grows by whole lines and can be continued after any interruption. One process at a
/// time writes it: it holds a lock (flock) on the file.
class ResultFile {
 public:
  /// Opens or creates `path`, gives `visit` every line that it holds, and removes a last line that was cut
  /// short and blanks at the end. Error, with the file untouched, when it cannot be written, another process
  /// is writing it, or it holds something else than results.
  explicit ResultFile(std::string path, const std::function<void(const Json&)>& visit = {});

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
  std::optional<ResultLock> lock_;
  std::size_t n_lines_ = 0;
  bool repaired_ = false;
};

/// The text after a file's last newline: empty, unless the file was cut.
struct LastLine {
  std::string text;
  bool is_result = false;  ///< a whole one that only lacks its newline
  bool is_cut = false;     ///< the beginning of one
};

/// Calls `visit` with every line of results in `path` and its number, from 1, and returns what follows the
/// last newline. Skips blank lines and a last line that was cut short. Error with file and line when a line
/// is no result.
LastLine read_results(const std::string& path,
                      const std::function<void(Json&& line, std::size_t number)>& visit);

}  // namespace chunkkv::results
