#include <chunkkv/budget.h>
#include <chunkkv/error.h>

#include "selection/share.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace chunkkv {
namespace {

constexpr std::string_view kAllowed =
    R"(give the share to keep ("10%" or "0.1", more than 0 and at most 100%) or a number of tokens ("512", at least 1))";

[[noreturn]] void refuse(std::string_view budget) {
  throw UsageError(fmt::format("\"{}\" is not a budget: {}", budget, kAllowed));
}

/// Digits with at most one point among or around them.
bool is_decimal(std::string_view text) {
  const auto digits = std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto points = std::count(text.begin(), text.end(), '.');
  return digits > 0 && points <= 1 && std::size_t(digits + points) == text.size();
}

template <class Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool is_share(double share) {
  return share > 0.0 && share <= 1.0;
}

/// `share` in percent: the point of its shortest decimal form moves by two digits, so that nothing is
/// rounded and the text parses back to the same number.
std::string percent(double share) {
  if (share == 1.0) return "100%";
  std::array<char, 512> buffer = {};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), share, std::chars_format::fixed).ptr;
  std::string digits(buffer.data() + std::string_view("0.").size(), end);
  if (digits.size() < 2) digits.resize(2, '0');
  std::string whole = digits.substr(0, 2);
  if (whole.front() == '0') whole.erase(0, 1);
  const std::string rest = digits.substr(2);
  return rest.empty() ? whole + "%" : whole + "." + rest + "%";
}

}  // namespace

Budget Budget::fraction(double share) {
  if (!is_share(share)) refuse(fmt::format("{}", share));
  Budget budget;
  budget.fraction_ = share;
  return budget;
}

Budget Budget::tokens(std::int64_t count) {
  if (count < 1) refuse(fmt::format("{}", count));
  Budget budget;
  budget.tokens_ = count;
  return budget;
}

Budget Budget::parse(std::string_view text) {
  const bool is_percent = text.ends_with('%');
  const std::string_view number = text.substr(0, text.size() - (is_percent ? 1 : 0));
  if (!is_decimal(number)) refuse(text);

  if (!is_percent && number.find('.') == std::string_view::npos) {
    std::int64_t count = 0;
    if (!read(number, count) || count < 1) refuse(text);
    return tokens(count);
  }
  double share = 0;
  if (!read(std::string(number) + (is_percent ? "e-2" : ""), share) || !is_share(share)) refuse(text);
  return fraction(share);
}

std::int32_t Budget::resolve(std::int32_t n_tokens) const {
  if (n_tokens < 1) throw UsageError("there is nothing to keep: the prompt has no tokens");
  if (tokens_ > 0) return std::int32_t(std::min<std::int64_t>(tokens_, n_tokens));
  return std::max(1, floor_share(n_tokens, fraction_));
}

double Budget::share(std::int32_t n_tokens) const {
  return tokens_ > 0 ? double(resolve(n_tokens)) / n_tokens : fraction_;
}

std::string Budget::to_string() const {
  return tokens_ > 0 ? fmt::format("{}", tokens_) : percent(fraction_);
}

}  // namespace chunkkv
