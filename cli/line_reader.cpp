#include "line_reader.h"

#include "output.h"
#include "signals.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace chunkkv::cli {
namespace {

constexpr std::string_view kMarkPastes = "\x1b[?2004h", kMarkNoPastes = "\x1b[?2004l";
constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";
constexpr std::string_view kQuotes = "\"\"\"";
/// Linux' terminals hold no longer line, and drop the rest without a word.
constexpr std::size_t kTerminalLine = 4095;

/// Line ends as "\n": terminals paste "\r".
std::string with_newlines(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') result += text[i];
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) result += '\n';
  }
  return result;
}

/// A raw line without the marks around what was pasted.
Entry without_marks(std::string_view raw) {
  Entry entry;
  while (!raw.empty()) {
    const std::size_t begin = std::min(raw.find(kPasteBegin), raw.size());
    entry.text += raw.substr(0, begin);
    raw.remove_prefix(std::min(begin + kPasteBegin.size(), raw.size()));
    const std::size_t end = std::min(raw.find(kPasteEnd), raw.size());
    const std::string pasted = with_newlines(raw.substr(0, end));
    entry.is_block = entry.is_block || pasted.find('\n') != pasted.npos;
    entry.text += pasted;
    raw.remove_prefix(std::min(end + kPasteEnd.size(), raw.size()));
  }
  return entry;
}

std::size_t longest_line(std::string_view text) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

}  // namespace

LineReader::LineReader() : is_terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0) {
  if (is_terminal_) print_error(kMarkPastes);
}

LineReader::~LineReader() {
  if (is_terminal_) print_error(kMarkNoPastes);
}

std::size_t LineReader::line_end() const {
  for (std::size_t at = 0;;) {
    const std::size_t newline = buffer_.find('\n', at), paste = buffer_.find(kPasteBegin, at);
    if (newline < paste || paste == buffer_.npos) return newline;
    const std::size_t end = buffer_.find(kPasteEnd, paste);
    if (end == buffer_.npos) return buffer_.npos;
    at = end + kPasteEnd.size();
  }
}

std::optional<Entry> LineReader::line() {
  while (true) {
    if (const std::size_t end = line_end(); end != std::string::npos || (ended_ && !buffer_.empty())) {
      const std::string raw = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (is_terminal_ && longest_line(raw) >= kTerminalLine)
        throw UsageError(
            fmt::format("a terminal cuts lines of more than {} bytes; save the text as a file and /load it",
                        kTerminalLine));
      Entry entry = without_marks(raw);
      if (!entry.text.empty() && entry.text.back() == '\r') entry.text.pop_back();
      return entry;
    }
    if (ended_ || !wait_for_input(STDIN_FILENO)) return std::nullopt;
    char piece[4096];
    const ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    ended_ = n == 0 || (n < 0 && errno != EINTR);
    if (n < 0 && errno != EINTR)
      throw Error(fmt::format("cannot read standard input: {}", std::strerror(errno)));
    if (n > 0) buffer_.append(piece, std::size_t(n));
  }
}

std::optional<Entry> LineReader::next() {
  std::optional<Entry> first = line();
  if (!first || first->is_block || !first->text.starts_with(kQuotes)) return first;
  Entry block = {.text = first->text.substr(kQuotes.size()), .is_block = true};
  while (!block.text.ends_with(kQuotes)) {
    const std::optional<Entry> more = line();
    if (!more && stop_requested()) return std::nullopt;
    if (!more) throw UsageError("the text that begins with \"\"\" has no end; put \"\"\" behind it");
    block.text += "\n" + more->text;
  }
  block.text.resize(block.text.size() - kQuotes.size());
  return block;
}

}  // namespace chunkkv::cli
