#pragma once

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace chunkkv {

/// A file that appears under its name only when it is complete and on the disk: it is written beside it and
/// renamed. Without `commit`, and when the process is killed, what had the name stays as it is.
class AtomicFile {
 public:
  /// Error when the file cannot be created.
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

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
};

}  // namespace chunkkv
