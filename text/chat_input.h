#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::text {

/// A text that the user enters as one.
struct ChatEntry {
  std::string text;
  /// True for lines that belong together: pasted at a terminal, or written between two `"""`.
  bool is_block = false;

  bool operator==(const ChatEntry&) const = default;
};

/// Marks that a terminal puts around pasted text where a program asks for them (bracketed paste).
inline constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";

/// Splits a stream of bytes into entries: lines, pastes, blocks between three quotes. Takes time linear in
/// the bytes, whatever the pieces that they come in.
class EntryReader {
 public:
  /// `longest_line`: a line of this many bytes or more counts as cut by the terminal; 0: no line does.
  explicit EntryReader(std::size_t longest_line = 0) : longest_line_(longest_line) {}

  void add(std::string_view piece) { buffer_ += piece; }
  /// Says that no more bytes will be added.
  void end() { ended_ = true; }

  /// The next whole entry, without its line end or quotes; none when more bytes are needed, or at the end.
  /// UsageError for a block without an end, and for a line cut by the terminal; the next call then goes on.
  std::optional<ChatEntry> next();

 private:
  /// The next line, together with any text that was pasted into it.
  std::optional<ChatEntry> line();
  /// True when a whole line starts at `begin_`; `scanned_` is then its end.
  bool find_line();

  std::size_t longest_line_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of the bytes that were not returned yet
  std::size_t scanned_ = 0;  // no line ends between `begin_` and here
  bool in_paste_ = false;    // whether `scanned_` is inside pasted text
  bool ended_ = false;
  std::optional<std::string> block_;  // a block whose end was not read yet
};

/// An entry, parsed as a command or a question.
struct ChatLine {
  std::string command;  ///< such as "/keep"; empty for a question
  std::string text;     ///< the question or the command's argument, without blanks around it
};

/// A line that begins with "/" is a command; one that begins with "//" is a question that begins with "/".
/// Blocks are questions.
ChatLine parse_chat_line(const ChatEntry& entry);

}  // namespace chunkkv::text
