#include "judge/waiting.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <system_error>

namespace chunkkv::eval {
namespace {

using std::chrono::seconds;

constexpr seconds kLongest{60}, kLongestAskedFor{600};

}  // namespace

bool is_busy_status(int http_status) {
  constexpr std::array statuses = {408, 429, 502, 503, 504, 529};
  return std::find(statuses.begin(), statuses.end(), http_status) != statuses.end();
}

std::optional<seconds> retry_after(const std::string& header, std::time_t now) {
  std::int64_t number = 0;
  const char* end = header.data() + header.size();
  const auto [rest, error] = std::from_chars(header.data(), end, number);
  if (error == std::errc::result_out_of_range) return kLongestAskedFor;
  if (error == std::errc() && (rest == end || *rest == '.' || *rest == ' ') && number >= 0)
    return seconds(std::min<std::int64_t>(number, kLongestAskedFor.count()));
  std::tm date = {};
  if (strptime(header.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr) return std::nullopt;
  return seconds(
      std::clamp<std::int64_t>(std::int64_t(timegm(&date)) - std::int64_t(now), 0, kLongestAskedFor.count()));
}

seconds pause_before_retry(int attempt, std::optional<seconds> asked_for) {
  if (asked_for) return std::clamp(*asked_for, seconds(1), kLongestAskedFor);
  return attempt < 6 ? std::min(seconds(1 << attempt), kLongest) : kLongest;
}

}  // namespace chunkkv::eval
