#include "base/standard_json.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace chunkkv {
namespace {

constexpr std::size_t kEscape = 6;  ///< bytes of "\ud83d"

/// The UTF-16 unit that the Unicode escape at the beginning of `text` stands for, if there is one.
std::optional<std::uint32_t> escaped_unit(std::string_view text) {
  if (text.size() < kEscape || !text.starts_with("\\u")) return std::nullopt;
  std::uint32_t unit = 0;
  const char* const end = text.data() + kEscape;
  if (std::from_chars(text.data() + 2, end, unit, 16).ptr != end) return std::nullopt;
  return unit;
}

bool is_high(std::uint32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(std::uint32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

/// The bytes of a surrogate at the beginning of `text`, encoded as UTF-8 would encode a character; else 0.
std::size_t encoded_surrogate(std::string_view text) {
  const bool is_one =
      text.size() >= 3 && text[0] == '\xED' && (text[1] & 0xE0) == 0xA0 && (text[2] & 0xC0) == 0x80;
  return is_one ? 3 : 0;
}

/// The bytes of a name such as NaN at the beginning of `text`; else 0.
std::size_t no_number(std::string_view text) {
  for (const std::string_view name : {"NaN", "Infinity", "-Infinity"})
    if (text.starts_with(name)) return name.size();
  return 0;
}

/// Copies the escape that `text` begins with, a lone surrogate as U+FFFD; returns the bytes read.
std::size_t copy_escape(std::string_view text, std::string& result) {
  const std::optional<std::uint32_t> unit = escaped_unit(text);
  if (!unit || !(is_high(*unit) || is_low(*unit))) {
    result += text.substr(0, 2);
    return std::min<std::size_t>(text.size(), 2);
  }
  const std::optional<std::uint32_t> second = escaped_unit(text.substr(kEscape));
  if (is_high(*unit) && second && is_low(*second)) {
    result += text.substr(0, 2 * kEscape);
    return 2 * kEscape;
  }
  result += "\\ufffd";
  return kEscape;
}

}  // namespace

std::string standard_json(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    if (in_string && rest[0] == '\\') {
      at += copy_escape(rest, result);
    } else if (const std::size_t length = in_string ? encoded_surrogate(rest) : no_number(rest); length > 0) {
      result += in_string ? "\uFFFD" : "null";
      at += length;
    } else {
      if (rest[0] == '"') in_string = !in_string;
      result += rest[0];
      ++at;
    }
  }
  return result;
}

}  // namespace chunkkv
