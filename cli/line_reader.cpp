#include "line_reader.h"

#include "signals.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace chunkkv::cli {

std::optional<std::string> LineReader::next() {
  while (true) {
    if (const std::size_t end = buffer_.find('\n');
        end != std::string::npos || (ended_ && !buffer_.empty())) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      return line;
    }
    if (ended_ || !wait_for_input(STDIN_FILENO)) return std::nullopt;
    char piece[4096];
    const ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && errno != EINTR)
      throw Error(fmt::format("cannot read standard input: {}", std::strerror(errno)));
    if (n == 0) ended_ = true;
    if (n > 0) buffer_.append(piece, std::size_t(n));
  }
}

}  // namespace chunkkv::cli
