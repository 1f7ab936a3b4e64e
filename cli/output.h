#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace chunkkv::cli {

/// Writes to standard output at once. Error when it cannot be written (a full disk, a closed pipe).
void print(std::string_view text);

/// Writes to standard error.
void print_error(std::string_view text);

/// A file that appears under its name only when it is complete: it is written beside it and renamed.
class AtomicFile {
 public:
  /// Error when the file cannot be created.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Writes `text` and gives the file its name. Error when the disk is full; nothing is left then.
  void commit(std::string_view text);

 private:
  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
};

}  // namespace chunkkv::cli
