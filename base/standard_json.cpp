#include "base/standard_json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace chunkkv {
namespace {

constexpr std::array<std::string_view, 3> kNoNumbers = {"NaN", "Infinity", "-Infinity"};

constexpr std::size_t kEscape = 6;  ///< bytes of "\ud83d"

/// The UTF-16 unit that the Unicode escape at the beginning of `text` stands for, if there is one.
std::optional<std::uint32_t> escaped_unit(std::string_view text) {
  if (text.size() < kEscape || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  for (const char c : text.substr(2, 4)) {
    const char low = char(c | 0x20);
    if (c >= '0' && c <= '9')
      unit = unit * 16 + std::uint32_t(c - '0');
    else if (low >= 'a' && low <= 'f')
      unit = unit * 16 + std::uint32_t(low - 'a' + 10);
    else
      return std::nullopt;
  }
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
  const bool is_one = text.size() >= 3 && text[0] == '\xED' &&
                      (static_cast<unsigned char>(text[1]) & 0xE0) == 0xA0 &&
                      (static_cast<unsigned char>(text[2]) & 0xC0) == 0x80;
  return is_one ? 3 : 0;
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
      continue;
    }
    if (const std::size_t length = in_string ? encoded_surrogate(rest) : 0; length > 0) {
      result += "\uFFFD";
      at += length;
      continue;
    }
    std::size_t no_number = 0;
    if (!in_string)
      for (const std::string_view name : kNoNumbers)
        if (rest.starts_with(name)) no_number = name.size();
    if (no_number > 0) {
      result += "null";
      at += no_number;
      continue;
    }
    if (rest[0] == '"') in_string = !in_string;
    result += rest[0];
    ++at;
  }
  return result;
}

}  // namespace chunkkv
