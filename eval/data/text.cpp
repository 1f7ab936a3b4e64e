#include "data/text.h"

#include "data/files.h"
#include "text/encoding.h"
#include "unicode.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

/// Removes a byte order mark and zero bytes, and turns "\r\n" and "\r" into "\n".
std::string plain(const std::string& text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; at < text.size(); ++at) {
    const bool ends_line = text[at] == '\r';
    if (ends_line && at + 1 < text.size() && text[at + 1] == '\n') continue;
    if (text[at] != '\0') result += ends_line ? '\n' : text[at];
  }
  return result;
}

}  // namespace

std::string read_texts(const std::filesystem::path& folder) {
  std::string all;
  for (const std::filesystem::path& file : files_of(folder, ".txt")) {
    const std::string content = read_file(file);
    if (const std::size_t at = find_invalid_utf8(content); at != std::string::npos) {
      const auto line = std::count(content.begin(), content.begin() + std::ptrdiff_t(at), '\n') + 1;
      throw Error(fmt::format("{}: this is not UTF-8; {}", place(file, std::size_t(line)),
                              text::encoding_advice(content, file.string())));
    }
    if (!all.empty()) all += "\n\n";
    all += plain(content);
  }
  if (all.find_first_not_of(" \t\r\n") == all.npos) {
    throw UsageError(
        fmt::format("'{}' holds no text; put .txt files there, books for example", folder.string()));
  }
  return all;
}

}  // namespace chunkkv::eval
