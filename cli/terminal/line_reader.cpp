#include "cli/terminal/line_reader.h"

#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace chunkkv::cli {
namespace {

constexpr std::string_view kMarkPastes = "\x1b[?2004h", kMarkNoPastes = "\x1b[?2004l";
/// The longest line in bytes that a Linux terminal holds; it drops the rest silently.
constexpr std::size_t kTerminalLine = 4095;

}  // namespace

LineReader::LineReader()
    : is_terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0),
      entries_(is_terminal_ ? kTerminalLine : 0) {
  if (is_terminal_) print_error(kMarkPastes);
}

LineReader::~LineReader() {
  if (is_terminal_) print_error(kMarkNoPastes);
}

std::optional<text::ChatEntry> LineReader::next() {
  while (true) {
    if (std::optional<text::ChatEntry> entry = entries_.next()) return entry;
    if (ended_ || !wait_for_input(STDIN_FILENO)) return std::nullopt;
    char piece[4096];
    const ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) entries_.add({piece, std::size_t(n)});
    if (n > 0) continue;
    const int error = errno;
    entries_.end();
    ended_ = true;
    if (n < 0) throw Error(fmt::format("cannot read standard input: {}", std::strerror(error)));
  }
}

}  // namespace chunkkv::cli
