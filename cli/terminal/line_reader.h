#pragma once

#include "text/chat_input.h"

#include <optional>

namespace chunkkv::cli {

/// Reads the entries of standard input, a terminal or a pipe. A terminal is asked to mark what is pasted
/// (bracketed paste) as long as the reader lives.
class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next entry without its line end or quotes; nothing at the end of the input or when a stop is
  /// requested. UsageError for a block without an end, and for a line that the terminal has cut; Error when
  /// standard input cannot be read.
  std::optional<text::ChatEntry> next();

 private:
  bool is_terminal_;
  bool ended_ = false;
  text::EntryReader entries_;
};

}  // namespace chunkkv::cli
