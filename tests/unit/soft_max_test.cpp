#include "kernels/soft_max.h"

#include "unit/attention_problem.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace chunkkv::kernels {
namespace {

class SoftMax : public testing::TestWithParam<SoftMaxKernel> {
 protected:
  test::Random random_;
};

TEST_P(SoftMax, AddsWhatDoublePrecisionDoesWhateverTheLength) {
  constexpr float hidden = -std::numeric_limits<float>::infinity(), scale = 0.125F;
  for (const std::int64_t n : {1, 2, 15, 16, 63, 64, 65, 200, 1000}) {
    std::vector<float> logits(static_cast<std::size_t>(n));
    for (float& logit : logits) logit = random_.integer(0, 4) == 0 ? hidden : 400 * random_.real() - 200;
    logits[std::size_t(random_.integer(0, int(n) - 1))] = 100;  // one is seen at least
    std::vector<float> sums(logits.size());
    for (float& sum : sums) sum = random_.real();

    std::vector<double> powers;
    const double greatest = *std::max_element(logits.begin(), logits.end());
    for (const float logit : logits) powers.push_back(std::exp(double(scale) * (double(logit) - greatest)));
    const double total = std::accumulate(powers.begin(), powers.end(), 0.0);
    const std::vector<float> before = sums;
    GetParam().add(logits.data(), n, scale, sums.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const double error = powers[i] > 0 ? 1e-6 : 0;  // what is hidden gets nothing
      EXPECT_NEAR(sums[i], double(before[i]) + powers[i] / total, error) << i << " of " << n;
    }
  }
}

TEST_P(SoftMax, WhatIsNoNumberStaysNone) {
  for (const std::int64_t n : {3, 100}) {
    std::vector<float> logits(std::size_t(n), 1.0F), sums(std::size_t(n), 0.0F);
    logits[std::size_t(random_.integer(0, int(n) - 1))] = std::numeric_limits<float>::quiet_NaN();
    GetParam().add(logits.data(), n, 1, sums.data());
    EXPECT_TRUE(std::ranges::all_of(sums, [](float sum) { return std::isnan(sum); })) << n;
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SoftMax);
INSTANTIATE_TEST_SUITE_P(, SoftMax, testing::ValuesIn(soft_max_kernels()), kernel_name<SoftMaxKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, SoftMax, testing::ValuesIn(emulated_soft_max_kernels()),
                         kernel_name<SoftMaxKernel>);

}  // namespace
}  // namespace chunkkv::kernels
