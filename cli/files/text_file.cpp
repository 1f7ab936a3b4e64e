#include "cli/files/text_file.h"

#include "cli/terminal/signals.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace chunkkv::cli {
namespace {

std::string read_all(std::FILE* stream, const std::string& name) {
  std::string text;
  char buffer[1 << 16];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, stream)) text.append(buffer, n);
  if (stop_requested()) throw Interrupted("interrupted while reading " + name);
  if (std::ferror(stream)) throw Error(fmt::format("cannot read {}: {}", name, std::strerror(errno)));
  return text;
}

}  // namespace

std::string read_text(const std::string& path) {
  if (path == "-") return read_all(stdin, "standard input");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Error(fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return read_all(file.get(), fmt::format("'{}'", path));
}

}  // namespace chunkkv::cli
