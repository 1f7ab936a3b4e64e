#include "cli/terminal/output.h"

#include "cli/files/inputs.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace chunkkv::cli {
namespace {

const std::string& checked(const std::string& path) {
  refuse_input(path);
  return path;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : AtomicFile(checked(path)) {}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
}

void print_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace chunkkv::cli
