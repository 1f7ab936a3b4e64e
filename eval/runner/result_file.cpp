#include "runner/result_file.h"

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

namespace chunkkv::eval {

std::string read_results(const std::string& path,
                         const std::function<void(Json&& line, std::size_t number)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  std::string text;
  for (std::size_t number = 1; std::getline(file, text); ++number) {
    if (file.eof()) return text;
    Json line;
    try {
      line = parse_line(text);
    } catch (const Error& error) {
      throw Error(fmt::format("line {} of '{}' is not a line of results: {}; name another file, or remove it",
                              number, path, error.what()));
    }
    visit(std::move(line), number);
  }
  if (file.bad()) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return {};
}

ResultFile::ResultFile(std::string path, const std::function<void(const Json&)>& visit)
    : path_(std::move(path)) {
  struct stat status = {};
  if (stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw UsageError(fmt::format("'{}' is no regular file; name a file to write", path_));
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw Error(
        fmt::format("cannot write '{}': {}; choose another file or folder", path_, std::strerror(errno)));
  }
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      throw Error(fmt::format(
          "another run is writing '{}'; give this one a file of its own (`chunkkv eval merge` joins them)",
          path_));
    }
    read(visit);
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

ResultFile::~ResultFile() {
  close(descriptor_);
}

void ResultFile::read(const std::function<void(const Json&)>& visit) {
  const auto take = [&](const Json& line) {
    ++n_lines_;
    if (visit) visit(line);
  };
  const std::string rest = read_results(path_, [&](const Json& line, std::size_t) { take(line); });
  if (rest.empty()) return;

  if (!may_begin_line(rest)) {
    throw Error(
        fmt::format("'{}' ends in something that is not a line of results; name another file, or "
                    "remove its last line",
                    path_));
  }
  // A line is complete once its last brace is there, and cannot be read before.
  if (Json::accept(rest)) {
    take(parse_line(rest));
    write("\n");
    return;
  }
  struct stat status = {};
  if (fstat(descriptor_, &status) != 0 || ftruncate(descriptor_, status.st_size - off_t(rest.size())) != 0)
    throw Error(fmt::format("cannot write '{}': {}", path_, std::strerror(errno)));
  repaired_ = true;
}

void ResultFile::append(const Json& line) {
  write(to_text(line));
  ++n_lines_;
}

void ResultFile::write(std::string_view text) {
  struct stat before = {};
  const bool known = fstat(descriptor_, &before) == 0;
  ssize_t n = 0;
  do {
    n = ::write(descriptor_, text.data(), text.size());
  } while (n < 0 && errno == EINTR);
  if (n == ssize_t(text.size()) && fdatasync(descriptor_) == 0) return;
  const int reason = n >= 0 && n < ssize_t(text.size()) ? ENOSPC : errno;
  // What was written of the line goes away again; where that fails, the next start does it.
  if (known && n > 0 && ftruncate(descriptor_, before.st_size) != 0) errno = 0;
  throw Error(fmt::format("cannot write '{}': {}; make room, and start the same command again", path_,
                          std::strerror(reason)));
}

}  // namespace chunkkv::eval
