#include "scorers/scorers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace chunkkv::eval {
namespace {

bool is_decimal(char c) {
  return c >= '0' && c <= '9';
}

/// The group of the first match of "The answer is (-?[0-9.,]+)[^\n]" in `text`; nothing where there is no
/// match. Where the line ends with the number, "[^\n]" takes the number's last character.
std::optional<std::string_view> stated_number(std::string_view text) {
  constexpr std::string_view kLead = "The answer is ";
  for (std::size_t at = text.find(kLead); at != text.npos; at = text.find(kLead, at + 1)) {
    const std::size_t begin = at + kLead.size();
    const std::size_t digits = begin + (text.substr(begin).starts_with('-') ? 1 : 0);
    std::size_t end = std::min(text.find_first_not_of("0123456789.,", digits), text.size());
    if (end > digits && (end == text.size() || text[end] == '\n')) --end;
    if (end > digits) return text.substr(begin, end - begin);
  }
  return std::nullopt;
}

/// End of the match of "-?\$?([0-9][0-9,]*(\.[0-9]+)?|\.[0-9]+)" at `begin`; `begin` where there is none.
std::size_t number_end(std::string_view text, std::size_t begin) {
  const auto is_digit_at = [&](std::size_t i) { return i < text.size() && is_decimal(text[i]); };
  const auto skip = [&](std::size_t i, std::string_view characters) {
    return std::min(text.find_first_not_of(characters, i), text.size());
  };
  std::size_t at = begin;
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '$') ++at;
  const bool is_whole = is_digit_at(at);
  if (is_whole) at = skip(at, "0123456789,");
  if (at < text.size() && text[at] == '.' && is_digit_at(at + 1)) return skip(at + 1, "0123456789");
  return is_whole ? at : begin;
}

std::string_view last_number(std::string_view text) {
  std::string_view last;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = number_end(text, at);
    if (end > at) last = text.substr(at, end - at);
    at = std::max(end, at + 1);
  }
  return last;
}

/// The number without commas, dollar signs and a full stop behind it.
std::string bare_number(std::string number) {
  std::erase_if(number, [](char c) { return c == ',' || c == '$'; });
  if (number.ends_with('.')) number.pop_back();
  return number;
}

std::optional<double> value(const std::string& number) {
  const std::string text = bare_number(number);
  double result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return result;
}

}  // namespace

double strict_math_answer(std::string_view answer, std::string_view right) {
  const std::optional<std::string_view> given = stated_number(answer);
  return given && bare_number(std::string(*given)) == bare_number(std::string(right)) ? 1 : 0;
}

double flexible_math_answer(std::string_view answer, std::string_view right) {
  const std::optional<double> given = value(std::string(last_number(answer)));
  return given && given == value(std::string(right)) ? 1 : 0;
}

}  // namespace chunkkv::eval
