#include <chunkkv/cache.h>

#include <fmt/format.h>

#include <vector>

namespace chunkkv {
namespace {

std::string with_commas(std::int32_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

}  // namespace

std::string describe(const CacheParts& parts, std::int32_t n_layer) {
  if (parts.is_whole()) return {};
  const auto n = std::int32_t(parts.compressed.size());
  std::string text = n == n_layer
                         ? fmt::format("all {} layers keep every token and are compressed", n)
                         : fmt::format("{} of {} layers keep every token and are compressed", n, n_layer);
  if (parts.n_window > 0)
    text += fmt::format("; {} keep a window of {} tokens", parts.n_window, with_commas(parts.window));
  if (parts.n_state > 0)
    text += parts.n_state == n_layer ? std::string("; all have a state as well")
                                     : fmt::format("; {} have a state", parts.n_state);
  if (parts.n_shared > 0) text += fmt::format("; {} read the rows of others", parts.n_shared);
  return text;
}

}  // namespace chunkkv
