#include "metrics/distributions.h"

#include <chunkkv/error.h>

#include "unit/expect_throw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace chunkkv {
namespace {

TEST(Distributions, ByHand) {
  // Logits of the probabilities 1/2, 1/4, 1/4 and 1/4, 1/4, 1/2, shifted: a shift changes nothing.
  const float ln2 = std::log(2.0f);
  const auto p = log_softmax(std::vector<float>{100 + ln2, 100, 100});
  const auto q = log_softmax(std::vector<float>{-7, -7, -7 + ln2});
  EXPECT_NEAR(p[0], std::log(0.5), 1e-6);
  EXPECT_NEAR(p[1], std::log(0.25), 1e-6);
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-6);
  EXPECT_EQ(kl_divergence(p, p), 0);
  EXPECT_EQ(most_likely(p), 0u);
  EXPECT_EQ(most_likely(q), 2u);
  EXPECT_EQ(most_likely(std::vector<float>{1, 3, 3}), 1u);
}

TEST(Distributions, ATokenThatCannotComeCountsNothing) {
  const float never = -std::numeric_limits<float>::infinity();
  const auto p = log_softmax(std::vector<float>{0, 0, never});
  const auto q = log_softmax(std::vector<float>{0, 0, 0});
  EXPECT_NEAR(kl_divergence(p, q), std::log(1.5), 1e-6);
}

TEST(Distributions, LogitsThatAreNoNumbersAreRefused) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    EXPECT_NE(test::message_of<Error>([&] {
                log_softmax(std::vector<float>{0, bad, 1});
              }).find("token 1"),
              std::string::npos);
}

}  // namespace
}  // namespace chunkkv
