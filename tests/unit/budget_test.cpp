#include <chunkkv/budget.h>
#include <chunkkv/error.h>

#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace chunkkv {
namespace {

using test::expect_mentions;
using test::message_of;

constexpr std::int32_t kMostTokens = std::numeric_limits<std::int32_t>::max();

TEST(Budget, DefaultKeepsEverything) {
  EXPECT_EQ(Budget().resolve(1), 1);
  EXPECT_EQ(Budget().resolve(7900), 7900);
  EXPECT_EQ(Budget(), Budget::parse("100%"));
}

TEST(Budget, ShareIsRoundedDownButKeepsOneToken) {
  EXPECT_EQ(Budget::parse("10%").resolve(611), 61);
  EXPECT_EQ(Budget::parse("50%").resolve(611), 305);
  EXPECT_EQ(Budget::parse("10%").resolve(19), 1);
  EXPECT_EQ(Budget::parse("10%").resolve(9), 1);
  EXPECT_EQ(Budget::parse("0.001%").resolve(1), 1);
  EXPECT_EQ(Budget::parse("99.9%").resolve(1), 1);
  EXPECT_EQ(Budget::parse("100%").resolve(kMostTokens), kMostTokens);
}

TEST(Budget, ShareMeansTheDecimalNumber) {
  // In binary, 0.29 * 100 and others fall just below the whole number.
  for (std::int32_t percent = 1; percent <= 100; ++percent) {
    const Budget budget = Budget::parse(std::to_string(percent) + "%");
    for (const std::int32_t hundreds : {1, 3, 79, 10'000'000})
      EXPECT_EQ(budget.resolve(100 * hundreds), percent * hundreds) << percent << "% of " << hundreds << "00";
    EXPECT_EQ(budget.resolve(99), std::max(1, percent * 99 / 100)) << percent << "% of 99";
  }
}

TEST(Budget, NumberOfTokensIsCutToThePrompt) {
  EXPECT_EQ(Budget::parse("512").resolve(7900), 512);
  EXPECT_EQ(Budget::parse("512").resolve(512), 512);
  EXPECT_EQ(Budget::parse("512").resolve(3), 3);
  EXPECT_EQ(Budget::parse("9000000000").resolve(kMostTokens), kMostTokens);
  EXPECT_EQ(Budget::parse("0512"), Budget::tokens(512));
}

TEST(Budget, OneIsATokenAndOnePointZeroIsEverything) {
  EXPECT_EQ(Budget::parse("1"), Budget::tokens(1));
  EXPECT_EQ(Budget::parse("1.0"), Budget::fraction(1.0));
  EXPECT_EQ(Budget::parse("1%"), Budget::fraction(0.01));
}

TEST(Budget, ShareAndPercentAreTheSame) {
  EXPECT_EQ(Budget::parse("0.1"), Budget::parse("10%"));
  EXPECT_EQ(Budget::parse(".1"), Budget::parse("10.0%"));
  EXPECT_EQ(Budget::parse("0.123"), Budget::parse("12.3%"));
}

TEST(Budget, ShareOfAPrompt) {
  EXPECT_DOUBLE_EQ(Budget::parse("10%").share(611), 0.1);
  EXPECT_DOUBLE_EQ(Budget::parse("61").share(610), 0.1);
  EXPECT_DOUBLE_EQ(Budget::parse("700").share(610), 1.0);
}

TEST(Budget, PrintsCanonically) {
  EXPECT_EQ(Budget::parse("0.1").to_string(), "10%");
  EXPECT_EQ(Budget::parse("1.0").to_string(), "100%");
  EXPECT_EQ(Budget::parse("0.005").to_string(), "0.5%");
  EXPECT_EQ(Budget::parse("0.12345").to_string(), "12.345%");
  EXPECT_EQ(Budget::parse("7%").to_string(), "7%");
  EXPECT_EQ(Budget::parse("512").to_string(), "512");
}

TEST(Budget, PrintedTextParsesBack) {
  test::Random random;
  for (int round = 0; round < 2000; ++round) {
    const double share = std::pow(double(random.real()), random.integer(1, 60)) + 1e-300;
    const Budget budget =
        round % 2 ? Budget::fraction(std::min(share, 1.0)) : Budget::tokens(random.integer(1, 1 << 30));
    EXPECT_EQ(Budget::parse(budget.to_string()), budget) << budget.to_string();
  }
}

TEST(Budget, RefusesWhatItIsNot) {
  for (const char* text : {"",     "%",    ".",    ".%",  "0",     "0%",      "0.0",  "00",
                           "-1",   "-10%", "+1",   "1.1", "101%",  "100.01%", "10 %", " 10%",
                           "10%%", "1e3",  "0x10", "ten", "1.0.0", "nan",     "inf",  "99999999999999999999",
                           "10%5"}) {
    const std::string message = message_of<UsageError>([&] { Budget::parse(text); });
    expect_mentions(message, {text, "10%", "512"});
  }
  EXPECT_THROW(Budget::fraction(0.0), UsageError);
  EXPECT_THROW(Budget::fraction(-0.1), UsageError);
  EXPECT_THROW(Budget::fraction(1.0000001), UsageError);
  EXPECT_THROW(Budget::fraction(std::numeric_limits<double>::quiet_NaN()), UsageError);
  EXPECT_THROW(Budget::tokens(0), UsageError);
  EXPECT_THROW(Budget::tokens(-5), UsageError);
  EXPECT_THROW(Budget().resolve(0), UsageError);
}

}  // namespace
}  // namespace chunkkv
