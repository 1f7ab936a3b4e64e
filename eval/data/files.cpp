#include "data/files.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

namespace chunkkv::eval {

namespace fs = std::filesystem;

std::string place(const fs::path& file, std::size_t line) {
  return fmt::format("'{}', line {}", file.string(), line);
}

std::ifstream open_file(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Error(fmt::format("cannot read '{}': {}", file.string(), std::strerror(errno)));
  return stream;
}

std::string read_file(const fs::path& file) {
  std::ifstream stream = open_file(file);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad()) throw Error(fmt::format("cannot read '{}': {}", file.string(), std::strerror(errno)));
  return text;
}

std::vector<fs::path> files_of(const fs::path& folder, const std::string& extension) {
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_regular_file() && entry.path().extension() == extension) files.push_back(entry.path());
  if (error) {
    throw UsageError(
        fmt::format("cannot read the data folder '{}': {}; give the benchmark's folder with --data",
                    folder.string(), error.message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace chunkkv::eval
