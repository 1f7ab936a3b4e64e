#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace chunkkv::text {

/// Turns pieces of bytes into pieces of valid UTF-8: the bytes of a character that is not complete yet are
/// held back; bytes that can never become a character turn into U+FFFD.
class Utf8Stream {
 public:
  /// Takes `bytes` and returns the characters that are now complete.
  std::string push(std::string_view bytes);
  /// Ends the stream. Returns U+FFFD where a character was cut short, else nothing.
  std::string finish();
  /// The bytes that are held back.
  const std::string& held() const { return held_; }

 private:
  std::string held_;
};

/// Offset of the first byte that is not UTF-8; npos when all of `text` is.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace chunkkv::text
