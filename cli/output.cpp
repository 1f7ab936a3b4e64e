#include "output.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace chunkkv::cli {

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
}

void print_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.tmp", path_, getpid())) {
  std::error_code error;
  if (std::filesystem::exists(path_, error) && !std::filesystem::is_regular_file(path_, error))
    throw UsageError(fmt::format("'{}' is no regular file; name a file to write", path_));
  file_ = std::fopen(temporary_.c_str(), "wbx");
  if (!file_) {
    throw Error(
        fmt::format("cannot write '{}': {}; choose another file or folder", path_, std::strerror(errno)));
  }
}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void AtomicFile::commit(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), file_) == text.size() &&
                       std::fflush(file_) == 0 && fsync(fileno(file_)) == 0;
  if (!written || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw Error(fmt::format("cannot write '{}': {}; nothing was left of it", path_, std::strerror(errno)));
  }
  std::fclose(std::exchange(file_, nullptr));
}

}  // namespace chunkkv::cli
