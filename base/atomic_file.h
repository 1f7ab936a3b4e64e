#pragma once

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace chunkkv {

/// A file that appears under its name only when it is complete and on the disk: it is written in the same
/// folder under a short temporary name and then renamed. Without `commit`, or when the process is killed, a
/// file of that name stays as it is. A symbolic link stays, and the file that it leads to is written. The
/// permissions of a replaced file are kept; other hard links of it keep the old content.
class AtomicFile {
 public:
  /// UsageError where `path` leads to something that is no regular file; Error when the file cannot be
  /// created, or is protected from writing.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Error when the disk is full.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Gives the file its name. Error when the disk is full; nothing is left then.
  void commit();
  void commit(std::string_view text) {
    write(text);
    commit();
  }

  /// For writing through C's streams.
  std::FILE* stream() const { return file_; }
  /// Throws Error with the reason in errno.
  [[noreturn]] void fail() const;

 private:
  AtomicFile() = default;

  std::string path_;       ///< as it was given
  std::string name_;       ///< name, in the folder, of the file that `path_` leads to
  std::string temporary_;  ///< name of the temporary file in the folder
  int folder_ = -1;
  std::FILE* file_ = nullptr;
};

}  // namespace chunkkv
