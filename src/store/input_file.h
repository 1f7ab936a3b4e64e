#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace chunkkv {

/// A regular file, open for reading. All calls throw Error, with the file's name, when they fail.
class InputFile {
 public:
  explicit InputFile(std::string path);

  std::uint64_t size() const { return size_; }  ///< size when the file was opened
  void seek(std::uint64_t offset);
  /// Fills `bytes`; a file that ends before is an error.
  void read(std::span<std::byte> bytes);

 private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::uint64_t size_ = 0;
};

}  // namespace chunkkv
