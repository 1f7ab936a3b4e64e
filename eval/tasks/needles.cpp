#include "tasks/needles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

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

constexpr std::array<const char*, 32> kAdjectives = {
    "amber",   "ancient", "brass",  "bright", "broken",  "carved", "copper", "crooked",
    "dusty",   "empty",   "faded",  "gilded", "green",   "heavy",  "hidden", "hollow",
    "iron",    "ivory",   "marble", "narrow", "painted", "pale",   "quiet",  "rusty",
    "scarlet", "silver",  "smooth", "tall",   "velvet",  "violet", "wooden", "yellow"};
constexpr std::array<const char*, 32> kNouns = {
    "anchor", "barrel",  "basket",  "bell",   "bridge", "cabinet", "candle", "chest",
    "clock",  "compass", "crate",   "drum",   "flask",  "gate",    "harp",   "hammer",
    "kettle", "ladder",  "lantern", "mirror", "oven",   "pillar",  "piano",  "saddle",
    "scale",  "statue",  "tower",   "trunk",  "vault",  "wagon",   "well",   "window"};
static_assert(kAdjectives.size() * kNouns.size() == kMaxKeys);

std::string name_thing(std::size_t i) {
  return fmt::format("{} {}", kAdjectives[i / kNouns.size()], kNouns[i % kNouns.size()]);
}

/// `n` different numbers of six digits.
std::vector<std::string> random_numbers(std::int32_t n, Random& random) {
  std::set<std::string> seen;
  std::vector<std::string> numbers;
  while (numbers.size() < std::size_t(n)) {
    const std::string number = std::to_string(100000 + random.below(900000));
    if (seen.insert(number).second) numbers.push_back(number);
  }
  return numbers;
}

/// `n` different names of four consonants, which occur in no word.
std::vector<std::string> random_variables(std::int32_t n, Random& random) {
  constexpr std::string_view kLetters = "BCDFGHJKLMNPQRSTVWXZ";
  std::set<std::string> seen;
  std::vector<std::string> names;
  while (names.size() < std::size_t(n)) {
    std::string name;
    for (int i = 0; i < 4; ++i) name += kLetters[random.below(kLetters.size())];
    if (seen.insert(name).second) names.push_back(name);
  }
  return names;
}

/// Depth of needle i of n when they are spread evenly from `depth` to the end.
double spread(double depth, std::int32_t i, std::int32_t n) {
  return depth + (1 - depth) * i / n;
}

Question ask(const std::string& question, std::vector<std::string> references) {
  return {fmt::format("Answer from the text above.\n\nQuestion: {}\nAnswer:", question),
          std::move(references)};
}

/// The needle and question of the original test (github.com/gkamradt/LLMTest_NeedleInAHaystack).
NeedleCase single(double depth, std::int32_t, Random&) {
  return {{{"The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.",
            depth}},
          ask("What is the best thing to do in San Francisco?",
              {"eat a sandwich and sit in Dolores Park on a sunny day"})};
}

NeedleCase several(double depth, std::int32_t n, Random& random) {
  const std::string thing = name_thing(random.below(kMaxKeys));
  const std::vector<std::string> numbers = random_numbers(n, random);
  NeedleCase result;
  for (std::int32_t i = 0; i < n; ++i) {
    result.needles.push_back(
        {fmt::format("One of the numbers on the {} is {}.", thing, numbers[std::size_t(i)]),
         spread(depth, i, n)});
  }
  result.question = ask(fmt::format("Which numbers are on the {}? Name all {}.", thing, n), numbers);
  return result;
}

NeedleCase key_value(double depth, std::int32_t n, Random& random) {
  const std::vector<KeyValue> pairs = random_pairs(n, random);
  NeedleCase result{{{pairs.front().sentence(), depth}}, pairs.front().question()};
  for (std::size_t i = 1; i < pairs.size(); ++i)
    result.needles.push_back({pairs[i].sentence(), double(random.below(1000)) / 1000});
  return result;
}

NeedleCase variable_tracking(double depth, std::int32_t n, Random& random) {
  const std::vector<std::string> names = random_variables(n, random);
  const std::string value = random_numbers(1, random).front();
  NeedleCase result;
  for (std::int32_t i = 0; i < n; ++i) {
    const std::string& name = names[std::size_t(i)];
    result.needles.push_back(
        {i == 0 ? fmt::format("The variable {} is {}.", name, value)
                : fmt::format("The variable {} is the same as {}.", name, names[std::size_t(i) - 1]),
         spread(depth, i, n)});
  }
  result.question =
      ask(fmt::format("Which variables are {}, directly or by way of others? Name all {}.", value, n), names);
  return result;
}

}  // namespace

std::string KeyValue::sentence() const {
  return fmt::format("The number on the {} is {}.", key, value);
}

Question KeyValue::question() const {
  return ask(fmt::format("What is the number on the {}?", key), {value});
}

std::vector<KeyValue> random_pairs(std::int32_t n, Random& random) {
  const std::vector<std::size_t> keys = random.choose(std::size_t(n), kMaxKeys);
  const std::vector<std::string> values = random_numbers(n, random);
  std::vector<KeyValue> pairs;
  for (std::size_t i = 0; i < keys.size(); ++i) pairs.push_back({name_thing(keys[i]), values[i]});
  return pairs;
}

std::span<const NeedleVariant> needle_variants() {
  static const std::vector<NeedleVariant> all = {
      {"single", 50, single},
      {"multi-needle", 128, several},
      {"key-value", 50, key_value},
      {"variable-tracking", 128, variable_tracking},
  };
  return all;
}

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
