#include "math_answer.h"

#include <charconv>
#include <optional>
#include <regex>

namespace chunkkv::eval {
namespace {

using Matches = std::regex_iterator<std::string_view::const_iterator>;

std::string without_signs(std::string number) {
  std::erase_if(number, [](char c) { return c == ',' || c == '$'; });
  if (number.ends_with('.')) number.pop_back();
  return number;
}

std::optional<double> value(const std::string& number) {
  const std::string text = without_signs(number);
  double result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return result;
}

}  // namespace

double strict_math_answer(std::string_view answer, std::string_view right) {
  static const std::regex pattern(R"(The answer is (-?[0-9.,]+)[^\n])");
  const Matches first(answer.begin(), answer.end(), pattern);
  if (first == Matches()) return 0;
  return without_signs((*first)[1].str()) == without_signs(std::string(right)) ? 1 : 0;
}

double flexible_math_answer(std::string_view answer, std::string_view right) {
  static const std::regex pattern(R"(-?\$?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+))");
  std::string last;
  for (Matches match(answer.begin(), answer.end(), pattern); match != Matches(); ++match) last = match->str();
  const std::optional<double> given = value(last);
  return given && given == value(std::string(right)) ? 1 : 0;
}

}  // namespace chunkkv::eval
