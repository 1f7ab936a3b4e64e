#include "text/encoding.h"

#include "text/utf8.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iconv.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace chunkkv::text {
namespace {

/// Only this many first bytes are examined: encodings differ early.
constexpr std::size_t kLook = 1 << 16;

using Mark = std::pair<std::string_view, std::string_view>;

/// First bytes of files that are no text at all.
constexpr std::array<Mark, 8> kOthers = {{
    {"%PDF-", "a PDF file"},
    {"PK\x03\x04", "a ZIP archive, as office documents are"},
    {"\x1F\x8B", "compressed by gzip"},
    {"BZh", "compressed by bzip2"},
    {"\xFD"
     "7zXZ",
     "compressed by xz"},
    {"\x28\xB5\x2F\xFD", "compressed by zstd"},
    {"\x89PNG", "a picture"},
    {"GGUF", "a model"},
}};

/// Whether `text` is text in `encoding`. The last character may be cut off.
bool converts(std::string_view text, const char* encoding) {
  const iconv_t converter = iconv_open("UTF-8", encoding);
  if (converter == iconv_t(-1)) return false;
  std::string input(text);
  char* in = input.data();
  std::size_t n_in = input.size();
  std::string output(4 * text.size() + 16, '\0');
  char* out = output.data();
  std::size_t n_out = output.size();
  const bool failed = iconv(converter, &in, &n_in, &out, &n_out) == std::size_t(-1) && n_in > 8;
  iconv_close(converter);
  if (failed) return false;
  const auto end = output.size() - n_out;
  return std::none_of(output.begin(), output.begin() + std::ptrdiff_t(end), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f' && byte != 0x1B;
  });
}

/// True when `text` looks like East Asian text in UTF-16, which has few zero bytes. `high`: offset of the
/// high byte in a pair. Punctuation and kana (high byte 0x30) tell it from pairs of other encodings.
bool is_east_asian_utf16(std::string_view text, std::size_t high) {
  std::size_t n_east = 0, n_signs = 0;
  for (std::size_t i = high; i < text.size(); i += 2) {
    const auto byte = static_cast<unsigned char>(text[i]);
    n_east += std::size_t((byte >= 0x30 && byte <= 0x9F) || byte == 0xFF);
    n_signs += std::size_t(byte == 0x30);
  }
  const std::size_t n = text.size() / 2;
  return n > 0 && 10 * n_east > 9 * n && 20 * n_signs > n;
}

/// The name of UTF-16 or UTF-32, recognized by byte order mark, places of zero bytes or East Asian
/// characters; empty for other encodings.
std::string_view wide_encoding(std::string_view text) {
  if (text.starts_with(std::string_view("\xFF\xFE\0\0", 4)) ||
      text.starts_with(std::string_view("\0\0\xFE\xFF", 4)))
    return "UTF-32";
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) return "UTF-16";
  std::array<std::size_t, 4> zeros = {};
  for (std::size_t i = 0; i < text.size(); ++i) zeros[i % 4] += std::size_t(text[i] == '\0');
  const std::size_t quarter = text.size() / 4;
  const auto many = [&](std::size_t i) { return zeros[i] > quarter / 2; };
  if (many(2) && many(3)) return "UTF-32LE";
  if (many(0) && many(1)) return "UTF-32BE";
  if (many(1) && many(3)) return "UTF-16LE";
  if (many(0) && many(2)) return "UTF-16BE";
  if (is_east_asian_utf16(text, 1)) return "UTF-16LE";
  if (is_east_asian_utf16(text, 0)) return "UTF-16BE";
  return {};
}

/// True when most bytes above 127 have such a neighbour: in East Asian and Cyrillic texts, hardly elsewhere.
bool is_mostly_pairs(std::string_view text) {
  std::size_t n_high = 0, n_in_runs = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && static_cast<unsigned char>(text[end]) > 127) ++end;
    n_high += end - i;
    if (end - i > 1) n_in_runs += end - i;
    i = std::max(end, i + 1);
  }
  return 4 * n_in_runs > 3 * n_high;
}

/// True when at most a quarter of the bytes above 127 are broken: that is UTF-8 with a few errors.
bool is_utf8_but_for_few(std::string_view text) {
  std::size_t n_broken = 0, n_high = 0;
  for (const char c : text) n_high += std::size_t(static_cast<unsigned char>(c) > 127);
  for (std::size_t at = find_invalid_utf8(text); at != text.npos; at = find_invalid_utf8(text)) {
    text.remove_prefix(at + 1);
    if (++n_broken * 4 > n_high) return false;
  }
  return true;
}

/// Encodings that the text may be in, the more likely first.
std::vector<std::string_view> candidates(std::string_view text) {
  std::vector<const char*> names = {"WINDOWS-1252", "LATIN1"};
  if (is_mostly_pairs(text))
    names = {"GB18030", "SHIFT_JIS", "EUC-JP", "BIG5", "EUC-KR", "WINDOWS-1251", "KOI8-R"};
  std::vector<std::string_view> possible;
  for (const char* name : names)
    if (converts(text, name)) possible.emplace_back(name);
  return possible;
}

}  // namespace

std::string encoding_advice(std::string_view text, std::string_view file) {
  const std::string from = file.empty() ? "FILE" : fmt::format("'{}'", file);
  const auto command = [&](std::string_view options) {
    return fmt::format("iconv {} -t UTF-8 {} > NEW.txt", options, from);
  };
  text = text.substr(0, std::min(text.size(), kLook));
  for (const auto& [mark, what] : kOthers)
    if (text.starts_with(mark)) return fmt::format("it is {}: give the text in it", what);
  if (const std::string_view wide = wide_encoding(text); !wide.empty())
    return fmt::format("it seems to be {}; convert it with {}", wide, command(fmt::format("-f {}", wide)));
  if (text.find('\0') != text.npos) return "it holds zero bytes and seems to be no text at all";
  if (is_utf8_but_for_few(text))
    return fmt::format("all but a few bytes of it are UTF-8; drop those with {}", command("-c -f UTF-8"));
  const std::vector<std::string_view> possible = candidates(text);
  if (possible.empty())
    return fmt::format("convert it with {}; iconv -l lists encodings", command("-f ENCODING"));
  return fmt::format("it may be {}; convert it with {}, and another -f if that reads wrong",
                     fmt::join(possible, ", "), command(fmt::format("-f {}", possible.front())));
}

}  // namespace chunkkv::text
