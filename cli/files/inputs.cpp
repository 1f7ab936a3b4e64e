#include "cli/files/inputs.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

namespace chunkkv::cli {
namespace {

std::vector<std::string>& inputs() {
  static std::vector<std::string> paths;
  return paths;
}

bool is_same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

constexpr std::string_view kLineStart = R"({"benchmark")";

bool is_in_folder(const struct stat& file, const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  struct stat each = {};
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && it != end; it.increment(error))
    if (stat(it->path().c_str(), &each) == 0 && is_same(each, file)) return true;
  return false;
}

/// True for a file of results or an empty one: results may lie beside the data that they are about, and lines
/// are only added to them. Blanks and NUL bytes, a damage without loss, may come first.
bool holds_results(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char c = 0;
  while (file.get(c) && (c == '\0' || std::isspace(static_cast<unsigned char>(c)))) {
  }
  if (!file) return true;
  for (std::size_t i = 0; i < kLineStart.size(); ++i) {
    if (c != kLineStart[i]) return false;
    if (!file.get(c)) return true;  // a line that was cut short
  }
  return true;
}

constexpr std::string_view kNumber = "-00001", kOf = "-of-", kCount = "00001", kEnd = ".gguf";
constexpr int kMostParts = 99999;

/// Adds a model file; "NAME-00001-of-00003.gguf" stands for all three parts.
void add_model(const std::string& path) {
  add_input(path);
  const std::size_t n_suffix = kNumber.size() + kOf.size() + kCount.size() + kEnd.size();
  if (path.size() < n_suffix || !path.ends_with(kEnd)) return;
  const std::string prefix = path.substr(0, path.size() - n_suffix);
  const std::string suffix = path.substr(prefix.size());
  const std::string_view count = std::string_view(suffix).substr(kNumber.size() + kOf.size(), kCount.size());
  int n_parts = 0;
  std::from_chars(count.data(), count.data() + count.size(), n_parts);
  if (suffix.substr(kNumber.size(), kOf.size()) != kOf || n_parts < 1 || n_parts > kMostParts) return;
  for (int i = 1; i <= n_parts; ++i) add_input(fmt::format("{}-{:05}-of-{:05}.gguf", prefix, i, n_parts));
}

}  // namespace

CLI::Option* reads_file(CLI::Option* option) {
  return option->each([](const std::string& path) {
    if (path != "-") add_input(path);
  });
}

CLI::Option* reads_model(CLI::Option* option) {
  return option->each(add_model);
}

void add_input(const std::string& path) {
  inputs().push_back(path);
}

const std::string& refuse_input(const std::string& output) {
  struct stat written = {};
  if (stat(output.c_str(), &written) != 0 || !S_ISREG(written.st_mode)) return output;
  const auto refuse = [&](const std::string& what) {
    throw InputRefused(fmt::format(
        "'{}' is {}, which is read and must not be written over; name another file to write", output, what));
  };
  struct stat read = {};
  for (const std::string& path : inputs()) {
    if (stat(path.c_str(), &read) != 0) continue;
    if (is_same(read, written))
      refuse(path == output ? "an input" : fmt::format("the same file as '{}'", path));
    if (S_ISDIR(read.st_mode) && is_in_folder(written, path) && !holds_results(output))
      refuse(fmt::format("a file of the folder '{}'", path));
  }
  if (fstat(STDIN_FILENO, &read) == 0 && is_same(read, written)) refuse("the standard input");
  return output;
}

}  // namespace chunkkv::cli
