#include "chat_input.h"

#include "base/blanks.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::text {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
/// The buffer drops the bytes of returned lines when there are this many, or when it holds no others.
constexpr std::size_t kTaken = 1 << 16;

/// `text` with every line end written as "\n": terminals paste "\r".
std::string with_newlines(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') result += text[i];
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) result += '\n';
  }
  return result;
}

/// The entry in a raw line, without the marks around pasted text.
ChatEntry without_marks(std::string_view raw) {
  ChatEntry entry;
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

bool EntryReader::find_line() {
  while (scanned_ < buffer_.size()) {
    const std::string_view mark = in_paste_ ? kPasteEnd : kPasteBegin;
    const std::string_view rest = std::string_view(buffer_).substr(scanned_);
    if (rest.front() == '\n' && !in_paste_) return true;
    if (rest.starts_with(mark)) {
      in_paste_ = !in_paste_;
      scanned_ += mark.size();
    } else if (mark.starts_with(rest) && !ended_) {
      return false;  // the next bytes may complete the mark
    } else {
      ++scanned_;
    }
  }
  return ended_ && begin_ < buffer_.size();
}

std::optional<ChatEntry> EntryReader::line() {
  if (!find_line()) return std::nullopt;
  const std::string_view raw = std::string_view(buffer_).substr(begin_, scanned_ - begin_);
  const bool is_cut = longest_line_ > 0 && longest_line(raw) >= longest_line_;
  ChatEntry entry = without_marks(raw);
  begin_ = scanned_ = std::min(scanned_ + 1, buffer_.size());
  in_paste_ = false;
  if (begin_ >= kTaken || begin_ == buffer_.size()) {
    buffer_.erase(0, begin_);
    begin_ = scanned_ = 0;
  }
  if (is_cut)
    throw UsageError(fmt::format(
        "a terminal cuts lines of more than {} bytes; save the text as a file and /load it", longest_line_));
  if (!entry.text.empty() && entry.text.back() == '\r') entry.text.pop_back();
  return entry;
}

std::optional<ChatEntry> EntryReader::next() {
  while (true) {
    std::optional<ChatEntry> read = line();
    if (!read && ended_ && block_) {
      block_.reset();
      throw UsageError("the text that begins with \"\"\" has no end; put \"\"\" behind it");
    }
    if (!read) return std::nullopt;
    const bool begins = !block_;
    if (begins && (read->is_block || !read->text.starts_with(kQuotes))) return read;
    block_ = begins ? read->text.substr(kQuotes.size()) : std::move(*block_) + "\n" + read->text;
    if (!block_->ends_with(kQuotes)) continue;
    block_->resize(block_->size() - kQuotes.size());
    return ChatEntry{.text = *std::exchange(block_, std::nullopt), .is_block = true};
  }
}

ChatLine parse_chat_line(const ChatEntry& entry) {
  constexpr std::string_view blanks = " \t\n";
  const std::string_view text = without_blanks(entry.text, blanks);
  if (entry.is_block || !text.starts_with('/')) return {"", std::string(text)};
  if (text.starts_with("//")) return {"", std::string(text.substr(1))};
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  return {std::string(text.substr(0, end)), std::string(without_blanks(text.substr(end), blanks))};
}

}  // namespace chunkkv::text
