#include "tasks/needle_grid.h"

#include "tasks/needles.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

constexpr std::int32_t kFirstLength = 1000, kLastLength = 8000;
constexpr std::size_t kLeastHaystack = 16;

/// The values without repetitions, in the order in which they first occur.
template <class Value>
std::vector<Value> distinct(const std::vector<Value>& values) {
  std::vector<Value> result;
  for (const Value& value : values)
    if (std::find(result.begin(), result.end(), value) == result.end()) result.push_back(value);
  return result;
}

}  // namespace

std::vector<std::int32_t> needle_lengths(const Options& options) {
  const NeedleOptions& needle = options.needle;
  if (needle.needles < 1 || needle.needles > kMaxKeys)
    throw UsageError(fmt::format("the number of needles must be 1 to {}", kMaxKeys));
  if (needle.repeats < 1) throw UsageError("each length and depth needs 1 sample or more");

  std::vector<std::int32_t> lengths = distinct(needle.lengths);
  const std::int32_t most = options.max_length > 0 ? options.max_length : kLastLength;
  if (lengths.empty())
    for (std::int64_t n = kFirstLength; n <= most; n *= 2) lengths.push_back(std::int32_t(n));
  if (lengths.empty()) lengths.push_back(most);
  for (const std::int32_t length : lengths) {
    if (options.max_length > 0 && length > options.max_length) {
      throw UsageError(
          fmt::format("a needle test of {} tokens is longer than the longest prompt, {} tokens; leave "
                      "out that length or allow longer prompts",
                      length, options.max_length));
    }
  }
  return lengths;
}

std::vector<double> needle_depths(const NeedleOptions& options) {
  std::vector<double> depths = distinct(options.depths);
  if (depths.empty())
    for (int i = 0; i <= 10; ++i) depths.push_back(i / 10.0);
  for (const double depth : depths) {
    if (!(depth >= 0 && depth <= 1))
      throw UsageError(fmt::format("a needle's depth is 0 to 1, not {}", depth));
  }
  return depths;
}

std::size_t haystack_tokens(std::int32_t length, const std::string& others, std::size_t n_parts,
                            const Tokenizer& tokenizer) {
  const std::size_t taken = tokenizer.encode(others).size() + n_parts;
  if (length < 0 || std::size_t(length) < taken + kLeastHaystack) {
    throw UsageError(
        fmt::format("a prompt of {} tokens has no room for a haystack: needles and question alone are {}; "
                    "use longer ones or fewer needles",
                    length, taken));
  }
  return std::size_t(length) - taken;
}

}  // namespace chunkkv::eval
