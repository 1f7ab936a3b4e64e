#include "unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace chunkkv::eval {
namespace {

/// Removes the first character from `text` and returns it. Where the text begins with no valid character,
/// removes one byte and returns U+FFFD.
char32_t take(std::string_view& text) {
  utf8proc_int32_t c = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, utf8proc_ssize_t(text.size()), &c);
  text.remove_prefix(length > 0 ? std::size_t(length) : 1);
  return length > 0 ? char32_t(c) : U'\uFFFD';
}

void append(std::string& text, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length = utf8proc_encode_char(utf8proc_int32_t(c), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), std::size_t(length));
}

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace

std::u32string code_points(std::string_view text) {
  std::u32string result;
  result.reserve(text.size());
  while (!text.empty()) result += take(text);
  return result;
}

std::string to_utf8(std::u32string_view text) {
  std::string result;
  for (const char32_t c : text) append(result, c);
  return result;
}

std::string lower(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char32_t c : code_points(text)) {
    if (c == 0x130) {  // the only character whose lower case has two code points
      result += "i\xCC\x87";
    } else {
      append(result, char32_t(utf8proc_tolower(utf8proc_int32_t(c))));
    }
  }
  return result;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_digit(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(c)) == UTF8PROC_CATEGORY_ND;
}

bool is_word(char32_t c) {
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return c == '_';
  }
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  const std::u32string characters = code_points(text);
  auto at = characters.begin();
  while (true) {
    const auto begin = std::find_if_not(at, characters.end(), is_space);
    if (begin == characters.end()) return words;
    at = std::find_if(begin, characters.end(), is_space);
    words.push_back(to_utf8(std::u32string_view(begin, at)));
  }
}

std::string_view without_cut_end(std::string_view text) {
  const auto lead = std::find_if_not(text.rbegin(), text.rend(), continues);
  if (lead == text.rend()) return {};
  const auto begin = std::size_t(std::distance(lead, text.rend())) - 1;
  return find_invalid_utf8(text.substr(begin)) == text.npos ? text : text.substr(0, begin);
}

std::string_view without_cut_begin(std::string_view text) {
  const auto lead = std::find_if_not(text.begin(), text.end(), continues);
  return text.substr(std::size_t(std::distance(text.begin(), lead)));
}

}  // namespace chunkkv::eval
