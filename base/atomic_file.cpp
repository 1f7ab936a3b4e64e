#include "base/atomic_file.h"

#include <chunkkv/error.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace chunkkv {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as the system follows

/// The file that symbolic links lead to, whether it exists or not.
fs::path followed(const std::string& path) {
  fs::path file = path;
  std::error_code error;
  for (int i = 0; fs::is_symlink(fs::symlink_status(file, error)); ++i) {
    if (i == kMostLinks)
      throw Error(fmt::format("cannot write '{}': its symbolic links go in a circle", path));
    file = file.parent_path() / fs::read_symlink(file, error);
    if (error) throw Error(fmt::format("cannot write '{}': {}", path, error.message()));
  }
  return file;
}

/// Opens a folder. One that may be written but not listed can only be opened with O_PATH.
int open_folder(const fs::path& path) {
  const char* name = path.empty() ? "." : path.c_str();
  const int folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return folder >= 0 ? folder : open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/// A short name, however long the file's own is: that may be as long as the system allows.
std::string temporary_name() {
  static std::atomic<unsigned> count = 0;
  return fmt::format(".chunkkv-{}-{}.tmp", getpid(), count++);
}

}  // namespace

// Once the other constructor is done, the destructor closes what is open when this one throws.
AtomicFile::AtomicFile(std::string path) : AtomicFile() {
  path_ = std::move(path);
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw UsageError(fmt::format("'{}' is no regular file; name a file to write", path_));
  const fs::path file = followed(path_);
  name_ = file.filename().string();
  folder_ = open_folder(file.parent_path());
  const auto refuse = [this] {
    throw Error(
        fmt::format("cannot write '{}': {}; choose another file or folder", path_, std::strerror(errno)));
  };
  if (folder_ < 0) refuse();
  struct stat old = {};
  const bool replaces = fstatat(folder_, name_.c_str(), &old, 0) == 0;
  if (name_.empty()) throw UsageError(fmt::format("'{}' is no name of a file to write", path_));
  if (!replaces && errno != ENOENT) refuse();
  if (replaces && faccessat(folder_, name_.c_str(), W_OK, 0) != 0) refuse();

  int descriptor = -1;
  do {
    temporary_ = temporary_name();
    descriptor =
        openat(folder_, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
  } while (descriptor < 0 && errno == EEXIST);
  if (descriptor < 0) refuse();
  // Keep the permissions even where the owner cannot be kept.
  if (replaces && fchown(descriptor, old.st_uid, old.st_gid) != 0) errno = 0;
  if (replaces) fchmod(descriptor, old.st_mode & 07777);
  file_ = fdopen(descriptor, "wb");
  if (file_) return;
  close(descriptor);
  unlinkat(folder_, temporary_.c_str(), 0);
  refuse();
}

AtomicFile::~AtomicFile() {
  if (file_) {
    std::fclose(file_);
    unlinkat(folder_, temporary_.c_str(), 0);
  }
  if (folder_ >= 0) close(folder_);
}

void AtomicFile::fail() const {
  throw Error(fmt::format("cannot write '{}': {}; nothing was left of it", path_, std::strerror(errno)));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) fail();
  if (renameat(folder_, temporary_.c_str(), folder_, name_.c_str()) != 0) fail();
  std::fclose(std::exchange(file_, nullptr));
  fsync(folder_);  // the renaming survives a power failure, on file systems that can
}

}  // namespace chunkkv
