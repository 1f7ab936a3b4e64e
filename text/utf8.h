#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace chunkkv::text {

/// Turns pieces of bytes into pieces of valid UTF-8: the bytes of a character that is not complete yet
/// are held back, bytes that can never become one turn into U+FFFD.
class Utf8Stream {
 public:
  /// The text that is certain after `bytes`.
  std::string push(std::string_view bytes);
  /// What is left at the end: U+FFFD for a character cut short.
  std::string finish();
  bool pending() const { return !held_.empty(); }
  /// The bytes that are held back.
  const std::string& held() const { return held_; }

 private:
  std::string held_;
};

/// Offset of the first byte that is not UTF-8; npos when all of `text` is.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace chunkkv::text
