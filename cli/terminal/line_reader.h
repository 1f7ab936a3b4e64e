#pragma once

#include "text/chat_input.h"

#include <optional>

namespace chunkkv::cli {

/// Entries of standard input, from a terminal or a pipe. A terminal is asked to mark what is pasted
/// (bracketed paste) as long as the reader lives.
class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next entry without its end; nothing at the end of the input or when a stop is requested. UsageError
  /// for a block without an end, and for a line that the terminal has cut.
  std::optional<text::Entry> next();

 private:
  bool is_terminal_;
  bool ended_ = false;
  text::EntryReader entries_;
};

}  // namespace chunkkv::cli
