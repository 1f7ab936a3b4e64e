#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace chunkkv {
namespace {

using test::expect_mentions;
using test::message_of;

std::string spec(std::string_view text) {
  return make_method(text)->spec();
}
std::string refusal(std::string_view text) {
  return message_of<UsageError>([&] { make_method(text); });
}

TEST(Registry, EveryMethodExplainsItself) {
  std::set<std::string> names;
  for (const auto& info : methods()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name << " is listed twice";
    EXPECT_FALSE(info.summary.empty()) << info.name;
    EXPECT_FALSE(info.paper.empty()) << info.name;
    EXPECT_EQ((info.summary + info.paper).find('\n'), std::string::npos) << info.name;
    std::set<std::string> parameters;
    for (const auto& parameter : info.parameters) {
      EXPECT_TRUE(parameters.insert(parameter.name).second) << info.name << ": " << parameter.name;
      EXPECT_FALSE(parameter.help.empty()) << info.name << ": " << parameter.name;
      EXPECT_EQ(spec(info.name + ":" + parameter.name + "=" + parameter.default_value), info.name);
    }
  }
  EXPECT_TRUE(names.contains("full")) << "the reference";
}

TEST(Registry, EveryRangeEndsWhereItSays) {
  for (const auto& info : methods())
    for (const auto& parameter : info.parameters) {
      if (parameter.kind == ParameterInfo::Kind::choice) continue;
      const auto with = [&](double value) {
        return fmt::format("{}:{}={}", info.name, parameter.name, value);
      };
      EXPECT_NO_THROW(make_method(with(parameter.min)));
      EXPECT_NO_THROW(make_method(with(parameter.max)));
      for (const double outside : {parameter.min - 1, parameter.max + 1})
        expect_mentions(refusal(with(outside)),
                        {parameter.name.c_str(), fmt::format("{}", parameter.min).c_str(),
                         fmt::format("{}", parameter.max).c_str()});
    }
}

TEST(Spec, PrintsOnlyWhatDiffersInDeclaredOrder) {
  EXPECT_EQ(spec("chunkkv"), "chunkkv");
  EXPECT_EQ(spec("chunkkv:chunk=10,window=32,reuse=2"), "chunkkv:reuse=2");
  EXPECT_EQ(spec("chunkkv:reuse=2,rule=exact,chunk=5"), "chunkkv:chunk=5,reuse=2,rule=exact");
  EXPECT_EQ(spec("rkv:threshold=0.50,lambda=0.070"), "rkv:lambda=0.07");
  EXPECT_EQ(spec("h2o:recent=-0"), "h2o:recent=0");
  EXPECT_EQ(spec("snapkv:window=064"), "snapkv:window=64");
}

TEST(Spec, DefaultsMayFollowAChoice) {
  EXPECT_EQ(spec("hybrid:queries=all"), "hybrid:queries=all");
  EXPECT_EQ(spec("hybrid:queries=all,spread=0,diversity=1,after=0"), "hybrid:queries=all");
  EXPECT_EQ(spec("hybrid:queries=all,spread=0.3,diversity=0.3,after=16"),
            "hybrid:queries=all,spread=0.3,diversity=0.3,after=16");
  EXPECT_EQ(spec("hybrid:diversity=1,queries=all"), "hybrid:queries=all");
  EXPECT_EQ(spec("hybrid:spread=0.3,after=16,queries=window"), "hybrid");
  EXPECT_EQ(spec("hybrid:diversity=1"), "hybrid:diversity=1");
}

TEST(Spec, UnknownNamesSayWhatIsThere) {
  expect_mentions(refusal("snapvk"), {"\"snapvk\"", "full", "snapkv", "knorm"});
  expect_mentions(refusal(""), {"choose one of", "chunkkv"});
  expect_mentions(refusal("Chunkkv"), {"chunkkv"});
  expect_mentions(refusal("snapkv:wnidow=32"),
                  {"\"wnidow\"", "window, kernel, pool, group, vnorm, spread, reach"});
  expect_mentions(refusal("knorm:window=32"), {"knorm has no parameters"});
}

TEST(Spec, WrongValuesSayWhatIsAllowed) {
  expect_mentions(refusal("chunkkv:chunk=0"), {"chunk=0", "whole number from 1 to 65536"});
  expect_mentions(refusal("chunkkv:chunk=ten"), {"chunk=ten", "whole number"});
  expect_mentions(refusal("chunkkv:chunk=99999999999"), {"whole number from 1 to 65536"});
  expect_mentions(refusal("chunkkv:rule=papr"), {"rule=papr", "paper, exact, kvpress"});
  expect_mentions(refusal("rkv:lambda=1.5"), {"lambda=1.5", "number from 0 to 1"});
  for (const char* value : {"nan", "inf", "", "1,", "0.1x", "--1", " 0.1"})
    EXPECT_THROW(make_method(std::string("rkv:lambda=") + value), UsageError) << value;
  for (const char* value : {"1.0", "1e1", "", "0x1", "+1"})
    EXPECT_THROW(make_method(std::string("chunkkv:chunk=") + value), UsageError) << value;
}

TEST(Spec, WrongFormIsRefused) {
  expect_mentions(refusal("chunkkv:"), {"key=value"});
  expect_mentions(refusal("chunkkv:chunk"), {"\"chunk\"", "key=value"});
  expect_mentions(refusal("chunkkv:chunk=5,"), {"key=value"});
  expect_mentions(refusal("chunkkv:,chunk=5"), {"key=value"});
  expect_mentions(refusal("chunkkv:=5"), {"\"\"", "chunk"});
  expect_mentions(refusal("chunkkv:chunk=5,chunk=5"), {"chunk is given twice"});
  expect_mentions(refusal("chunkkv:chunk=5:window=3"), {"chunk=5:window=3"});
}

TEST(Parameters, AskingForAnUndeclaredNameIsABug) {
  Parameters parameters;
  parameters.set("window", "32");
  EXPECT_EQ(parameters.integer("window"), 32);
  EXPECT_THROW(parameters.integer("chunk"), std::logic_error);
}

std::string random_value(test::Random& random, const ParameterInfo& parameter) {
  switch (parameter.kind) {
    case ParameterInfo::Kind::integer:
      return fmt::format("{}", random.integer(std::int32_t(parameter.min), std::int32_t(parameter.max)));
    case ParameterInfo::Kind::real:
      return fmt::format("{}", parameter.min + (parameter.max - parameter.min) * double(random.real()));
    case ParameterInfo::Kind::choice:
      break;
  }
  return parameter.choices[std::size_t(random.integer(0, std::int32_t(parameter.choices.size()) - 1))];
}

/// The default of `parameter` once the values in `chosen`, each "name=value", are given.
std::string default_of(const ParameterInfo& parameter, const std::set<std::string>& chosen) {
  for (const auto& other : parameter.otherwise)
    if (chosen.contains(other.choice + "=" + other.value)) return other.default_value;
  return parameter.default_value;
}

TEST(Spec, RandomValuesParsePrintAndParseBack) {
  test::Random random;
  for (int round = 0; round < 3000; ++round) {
    const MethodInfo& info = methods()[std::size_t(random.integer(0, std::int32_t(methods().size()) - 1))];
    std::vector<std::string> given;
    std::set<std::string> chosen;
    std::string expected = info.name;
    for (const auto& parameter : info.parameters) {
      if (random.chance(0.3f)) continue;
      const std::string usual = default_of(parameter, chosen);
      const std::string value = random.chance(0.3f) ? usual : random_value(random, parameter);
      given.push_back(parameter.name + "=" + value);
      chosen.insert(given.back());
      if (value == usual) continue;
      expected += (expected == info.name ? ":" : ",") + given.back();
    }
    for (std::size_t i = given.size(); i > 1; --i)
      std::swap(given[i - 1], given[std::size_t(random.integer(0, std::int32_t(i) - 1))]);
    std::string text = info.name;
    for (std::size_t i = 0; i < given.size(); ++i) text += (i == 0 ? ":" : ",") + given[i];

    EXPECT_EQ(spec(text), expected) << text;
    EXPECT_EQ(spec(expected), expected) << text;
  }
}

/// Pieces of specs in random order, and random bytes.
std::string random_text(test::Random& random) {
  static const std::vector<std::string> pieces = [] {
    std::vector<std::string> all{":", "=", ",",  "-",   ".",   "%", "e",   "0",
                                 "1", "7", "32", "0.5", "1e9", " ", "max", "exact"};
    for (const auto& info : methods()) {
      all.push_back(info.name);
      all.push_back(info.name + ":");
      for (const auto& parameter : info.parameters) {
        all.push_back(parameter.name);
        all.push_back(parameter.name + "=" + parameter.default_value);
      }
    }
    return all;
  }();
  std::string text;
  for (int i = random.integer(0, 8); i > 0; --i) {
    if (random.chance(0.05f))
      text += char(random.integer(-128, 127));
    else
      text += pieces[std::size_t(random.integer(0, std::int32_t(pieces.size()) - 1))];
  }
  return text;
}

TEST(Spec, AnyTextParsesBackOrIsRefused) {
  test::Random random;
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::string text = random_text(random);
    try {
      const std::string canonical = spec(text);
      ++accepted;
      ASSERT_EQ(spec(canonical), canonical) << text;
    } catch (const UsageError& error) {
      ASSERT_FALSE(std::string(error.what()).empty()) << text;
    }
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace chunkkv
