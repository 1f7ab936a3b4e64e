#include "text/utf8.h"

#include <cstdint>
#include <utility>

namespace chunkkv::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Kind : std::uint8_t { character, incomplete, invalid };

struct Unit {
  Kind kind;
  std::size_t length;
};

/// Looks at the first character of `text` (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
Unit first_unit(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Kind::character, 1};

  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // range of the second byte
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Kind::invalid, 1};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Kind::incomplete, i};
    if (byte(i) < low || byte(i) > high) return {Kind::invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Kind::character, length};
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string text;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Unit unit = first_unit(rest);
    if (unit.kind == Kind::incomplete) break;
    text += unit.kind == Kind::character ? rest.substr(0, unit.length) : kReplacement;
    rest.remove_prefix(unit.length);
  }
  held_ = std::string(rest);
  return text;
}

std::string Utf8Stream::finish() {
  return std::exchange(held_, {}).empty() ? std::string() : std::string(kReplacement);
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const Unit unit = first_unit(text.substr(i));
    if (unit.kind != Kind::character) return i;
    i += unit.length;
  }
  return std::string_view::npos;
}

}  // namespace chunkkv::text
