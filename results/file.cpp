#include "results/file.h"

#include "base/blanks.h"
#include "base/standard_json.h"

#include <chunkkv/error.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace chunkkv::results {

namespace {

constexpr int kOpenings = 16;

/// Locks the file. False only when another process holds the lock.
bool lock(int descriptor) {
  return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool is_same_file(const std::string& path, int descriptor) {
  struct stat named = {}, opened = {};
  return stat(path.c_str(), &named) == 0 && fstat(descriptor, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

LastLine read_results(const std::string& path,
                      const std::function<void(Json&& line, std::size_t number)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  std::string text;
  for (std::size_t number = 1; std::getline(file, text); ++number) {
    const std::string_view content = without_blanks(text);
    const bool has_end = !file.eof();
    if (content.empty() && has_end) continue;
    // A line becomes valid JSON only with its last brace; without it, the line was cut short.
    if (!has_end && !Json::accept(standard_json(content)) && may_begin_line(content))
      return {.text = text, .is_cut = !content.empty()};
    Json line;
    try {
      line = parse_line(content);
    } catch (const Error& error) {
      throw Error(fmt::format("line {} of '{}' is not a line of results: {}; name another file, or remove it",
                              number, path, error.what()));
    }
    visit(std::move(line), number);
    if (!has_end) return {.text = text, .is_result = true};
  }
  if (file.bad()) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return {};
}

ResultLock::ResultLock(const std::string& path, int flags)
    : descriptor_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0 || lock(descriptor_)) return;
  close(descriptor_);
  throw Error(fmt::format(
      "another run is writing '{}'; give this one a file of its own (`chunkkv eval merge` joins them)",
      path));
}

ResultLock::~ResultLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

ResultFile::ResultFile(std::string path, const std::function<void(const Json&)>& visit)
    : path_(std::move(path)) {
  struct stat status = {};
  if (stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw UsageError(fmt::format("'{}' is no regular file; name a file to write", path_));
  open_locked();
  read(visit);
}

/// Opens the path again where the file was replaced between opening and locking.
void ResultFile::open_locked() {
  for (int attempt = 0; attempt < kOpenings; ++attempt) {
    lock_.emplace(path_, O_RDWR | O_CREAT | O_APPEND);
    if (lock_->descriptor() < 0) {
      throw Error(
          fmt::format("cannot write '{}': {}; choose another file or folder", path_, std::strerror(errno)));
    }
    if (is_same_file(path_, lock_->descriptor())) return;
  }
  throw Error(fmt::format("'{}' is replaced again and again by another program; choose another file", path_));
}

void ResultFile::read(const std::function<void(const Json&)>& visit) {
  const LastLine last = read_results(path_, [&](const Json& line, std::size_t) {
    ++n_lines_;
    if (visit) visit(line);
  });
  repaired_ = last.is_cut;
  if (last.is_result) {
    cut(last.text.size() - last.text.find_last_not_of(kBlanks) - 1);
    write("\n");
  } else {
    cut(last.text.size());
  }
}

/// Removes `n_bytes` bytes from the end of the file.
void ResultFile::cut(std::uint64_t n_bytes) {
  if (n_bytes == 0) return;
  struct stat status = {};
  if (fstat(lock_->descriptor(), &status) != 0 ||
      ftruncate(lock_->descriptor(), status.st_size - off_t(n_bytes)) != 0)
    throw Error(fmt::format("cannot write '{}': {}", path_, std::strerror(errno)));
}

void ResultFile::append(const Json& line) {
  write(to_text(line));
  ++n_lines_;
}

void ResultFile::write(std::string_view text) {
  const int file = lock_->descriptor();
  struct stat before = {};
  const bool known = fstat(file, &before) == 0;
  ssize_t n = 0;
  do {
    n = ::write(file, text.data(), text.size());
  } while (n < 0 && errno == EINTR);
  if (n == ssize_t(text.size()) && fdatasync(file) == 0) {
    if (is_same_file(path_, file)) return;
    throw Error(fmt::format(
        "'{}' was removed, renamed or replaced while this run was writing it, so the run stops; start "
        "the same command again, and what is missing there is done",
        path_));
  }
  const int reason = n >= 0 && n < ssize_t(text.size()) ? ENOSPC : errno;
  // Remove what was written of the line; where that fails, the next start does it.
  if (known && n > 0 && ftruncate(file, before.st_size) != 0) errno = 0;
  throw Error(fmt::format("cannot write '{}': {}; make room, and start the same command again", path_,
                          std::strerror(reason)));
}

}  // namespace chunkkv::results
