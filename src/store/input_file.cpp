#include "store/input_file.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace chunkkv {

InputFile::InputFile(std::string path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "rb"), std::fclose) {
  if (!file_) throw Error(fmt::format("cannot read '{}': {}", path_, std::strerror(errno)));
  struct stat status = {};
  if (fstat(fileno(file_.get()), &status) != 0)
    throw Error(fmt::format("cannot read '{}': {}", path_, std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("'{}' is no regular file; name one", path_));
  size_ = std::uint64_t(status.st_size);
}

void InputFile::seek(std::uint64_t offset) {
  if (fseeko(file_.get(), off_t(offset), SEEK_SET) != 0)
    throw Error(fmt::format("cannot read '{}': {}", path_, std::strerror(errno)));
}

void InputFile::read(std::span<std::byte> bytes) {
  if (bytes.empty() || std::fread(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size()) return;
  const bool failed = std::ferror(file_.get()) != 0;
  throw Error(fmt::format("cannot read '{}': {}", path_,
                          failed ? std::strerror(errno) : "it became shorter while it was being read"));
}

}  // namespace chunkkv
