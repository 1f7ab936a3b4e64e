#include "text_breaks.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::eval {
namespace {

/// Bounds, in bytes, of how far away an end of a sentence may be; in between it is an eighth of the text.
constexpr std::size_t kLeastReach = 20, kMostReach = 600;

constexpr std::string_view kBlanks = " \t\r\n";

struct Break {
  std::size_t at;
  bool ends_sentence;  ///< only for sentence breaks: a full stop or the like precedes it
};

void check(UErrorCode code, const char* what) {
  if (U_FAILURE(code)) throw Error(fmt::format("ICU cannot {}: {}", what, u_errorName(code)));
}

/// This thread's iterator of a kind, which is kept, since opening its rules takes time.
UBreakIterator* iterator_of(UBreakIteratorType kind) {
  struct Close {
    void operator()(UBreakIterator* breaks) const { ubrk_close(breaks); }
  };
  thread_local std::array<std::unique_ptr<UBreakIterator, Close>, UBRK_SENTENCE + 1> opened;
  auto& breaks = opened.at(std::size_t(kind));
  if (!breaks) {
    UErrorCode code = U_ZERO_ERROR;
    breaks.reset(ubrk_open(kind, /*locale=*/"", nullptr, 0, &code));
    check(code, "open its rules");
  }
  return breaks.get();
}

/// ICU's breaks in `text`; its end is one of them, its beginning is not.
std::vector<Break> breaks_of(std::string_view text, UBreakIteratorType kind) {
  UBreakIterator* breaks = iterator_of(kind);
  UErrorCode code = U_ZERO_ERROR;
  const std::unique_ptr<UText, decltype(&utext_close)> opened(
      utext_openUTF8(nullptr, text.data(), std::int64_t(text.size()), &code), utext_close);
  ubrk_setUText(breaks, opened.get(), &code);
  check(code, "read a text");
  std::vector<Break> all;
  for (std::int32_t at = ubrk_next(breaks); at != UBRK_DONE; at = ubrk_next(breaks))
    all.push_back({std::size_t(at), ubrk_getRuleStatus(breaks) < UBRK_SENTENCE_TERM_LIMIT});
  return all;
}

/// The part of a text around `at` in which a place is searched, cut between characters.
struct SearchedPart {
  SearchedPart(std::string_view text, std::size_t at)
      : reach(std::clamp(text.size() / 8, kLeastReach, kMostReach)) {
    begin = between_characters(text, at - std::min(at, 2 * reach));
    end = between_characters(text, std::min(text.size(), at + 2 * reach));
    part = text.substr(begin, end - begin);
    is_last = end == text.size();
  }

  static std::size_t between_characters(std::string_view text, std::size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    return at;
  }

  std::size_t reach, begin = 0, end = 0;
  std::string_view part;
  bool is_last = false;
};

/// Offsets where sentences end, before the blanks after them; also 0 where the text begins with a sentence.
std::vector<std::size_t> sentence_ends(const SearchedPart& searched) {
  std::string unwrapped(searched.part);
  for (std::size_t i = 1; i + 1 < unwrapped.size(); ++i) {
    const bool alone = unwrapped[i - 1] != '\n' && unwrapped[i - 1] != '\r' && unwrapped[i + 1] != '\n';
    if (unwrapped[i] == '\n' && alone) unwrapped[i] = ' ';
  }
  std::vector<std::size_t> ends;
  bool is_first = searched.begin == 0;
  for (const Break& each : breaks_of(unwrapped, UBRK_SENTENCE)) {
    if (is_first && each.ends_sentence) ends.push_back(0);
    is_first = false;
    const bool is_cut = each.at == unwrapped.size() && !searched.is_last;
    if (!each.ends_sentence || is_cut) continue;
    ends.push_back(searched.begin + searched.part.substr(0, each.at).find_last_not_of(kBlanks) + 1);
  }
  return ends;
}

/// Offsets where lines begin, with both ends of the text; empty where the part has no line break.
std::vector<std::size_t> line_beginnings(const SearchedPart& searched) {
  std::vector<std::size_t> all;
  if (searched.part.find('\n') == searched.part.npos) return all;
  if (searched.begin == 0) all.push_back(0);
  for (std::size_t i = 0; i < searched.part.size(); ++i)
    if (searched.part[i] == '\n') all.push_back(searched.begin + i + 1);
  if (searched.is_last) all.push_back(searched.end);
  return all;
}

std::vector<std::size_t> breaks_between(const SearchedPart& searched, UBreakIteratorType kind) {
  std::vector<std::size_t> all = {searched.begin};
  for (const Break& each : breaks_of(searched.part, kind)) all.push_back(searched.begin + each.at);
  return all;
}

std::optional<std::size_t> last_before(const std::vector<std::size_t>& places, std::size_t at,
                                       std::size_t reach) {
  const auto next = std::upper_bound(places.begin(), places.end(), at);
  if (next == places.begin() || at - *(next - 1) > reach) return std::nullopt;
  return *(next - 1);
}

std::optional<std::size_t> first_after(const std::vector<std::size_t>& places, std::size_t at,
                                       std::size_t reach) {
  const auto next = std::lower_bound(places.begin(), places.end(), at);
  if (next == places.end() || *next - at > reach) return std::nullopt;
  return *next;
}

enum class Side : std::uint8_t { near, before, after };

std::size_t find_place(std::string_view text, std::size_t at, Side side) {
  at = std::min(at, text.size());
  const SearchedPart searched(text, at);
  const auto choose = [&](const std::vector<std::size_t>& places, std::size_t reach) {
    return side == Side::after ? first_after(places, at, reach) : last_before(places, at, reach);
  };
  const std::vector<std::size_t> ends = sentence_ends(searched);
  std::optional<std::size_t> place = choose(ends, searched.reach);
  if (side == Side::near) {
    const std::optional<std::size_t> next = first_after(ends, at, searched.reach);
    if (next && (!place || *next - at < at - *place)) place = next;
  }
  if (!place) place = choose(line_beginnings(searched), searched.reach / 2);
  if (!place) place = choose(breaks_between(searched, UBRK_WORD), searched.reach / 4);
  if (!place) place = choose(breaks_between(searched, UBRK_CHARACTER), searched.reach);
  return place.value_or(at);
}

}  // namespace

std::size_t place_near(std::string_view text, std::size_t at) {
  return find_place(text, at, Side::near);
}

std::size_t place_before(std::string_view text, std::size_t at) {
  return find_place(text, at, Side::before);
}

std::size_t place_after(std::string_view text, std::size_t at) {
  return find_place(text, at, Side::after);
}

}  // namespace chunkkv::eval
