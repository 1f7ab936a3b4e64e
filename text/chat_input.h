#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::text {

/// What is entered at once.
struct Entry {
  std::string text;
  /// Several lines that belong together: pasted at a terminal, or written between lines of three quotes.
  bool is_block = false;

  bool operator==(const Entry&) const = default;
};

/// Marks that a terminal puts around what is pasted, where it is asked to (bracketed paste).
inline constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";

/// Cuts bytes as they come into entries: lines, pastes, blocks between three quotes. Linear in the bytes,
/// however they are cut into pieces.
class EntryReader {
 public:
  /// `longest_line`: bytes from which a line counts as cut by the terminal; 0: no line does.
  explicit EntryReader(std::size_t longest_line = 0) : longest_line_(longest_line) {}

  void add(std::string_view piece) { buffer_ += piece; }
  /// No more will be added.
  void end() { ended_ = true; }

  /// The next whole entry, without its end; nothing until more is added, or at the end. UsageError for a
  /// block without an end, and for a line that the terminal has cut; what follows can be read then.
  std::optional<Entry> next();

 private:
  /// The next line with what is pasted into it.
  std::optional<Entry> line();
  /// Whether a whole line stands at `begin_`; `scanned_` is its end then.
  bool find_line();

  std::size_t longest_line_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of what was not taken yet
  std::size_t scanned_ = 0;  // no line ends before
  bool in_paste_ = false;    // at `scanned_`
  bool ended_ = false;
  std::optional<std::string> block_;  // that was begun
};

/// An entry as the chat reads it.
struct ChatLine {
  std::string command;  ///< "/keep"; empty: a question
  std::string text;     ///< the question, or the command's argument; without blanks around it
};

/// A line that begins with "/" is a command; "//" begins a question with "/". Blocks are questions.
ChatLine parse_chat_line(const Entry& entry);

}  // namespace chunkkv::text
