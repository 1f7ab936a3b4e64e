#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace chunkkv::cli {

/// What is entered at once.
struct Entry {
  std::string text;
  /// Several lines that belong together: pasted at a terminal, or written between lines of three quotes.
  bool is_block = false;
};

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
  std::optional<Entry> next();

 private:
  /// The next line with what is pasted into it; with a paste it may be several.
  std::optional<Entry> line();
  /// Where the first line in the buffer ends, what is pasted taken as a whole; npos: not yet.
  std::size_t line_end() const;

  std::string buffer_;
  bool ended_ = false;
  bool is_terminal_ = false;
};

}  // namespace chunkkv::cli
