#include "kernels/token_rows.h"

#include "unit/attention_problem.h"

namespace chunkkv::kernels {
namespace {

class TokenRows : public testing::TestWithParam<TokenRowsKernel> {
 protected:
  std::vector<float> numbers(std::int64_t n) {
    std::vector<float> result(static_cast<std::size_t>(n));
    for (float& x : result) x = 4 * random_.real() - 2;
    return result;
  }
  test::Random random_;
};

TEST_P(TokenRows, NormsEqualDoublePrecision) {
  for (const std::int64_t n : {1, 7, 16, 63, 64, 100, 576, 1536, 5001})
    for (const float epsilon : {1e-5F, 0.5F}) {
      const std::vector<float> x = numbers(n), w = numbers(n);
      std::vector<float> out(x.size());
      GetParam().rms_norm(x.data(), w.data(), n, epsilon, out.data());
      double squares = 0;
      for (const float number : x) squares += double(number) * double(number);
      const double scale = 1 / std::sqrt(squares / double(n) + double(epsilon));
      for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(out[i], double(x[i]) * scale * double(w[i]), 2e-6) << i << " of " << n;
      std::vector<float> in_place = x;
      GetParam().rms_norm(in_place.data(), w.data(), n, epsilon, in_place.data());
      ASSERT_EQ(in_place, out);
    }
}

TEST_P(TokenRows, ANormIsNaNOnlyForItsOwnRow) {
  std::vector<float> x(64, 0.0F), w(64, 1.0F), out(64);
  GetParam().rms_norm(x.data(), w.data(), 64, 1e-6F, out.data());
  EXPECT_EQ(out, x);
  x[5] = std::numeric_limits<float>::quiet_NaN();
  GetParam().rms_norm(x.data(), w.data(), 64, 1e-6F, out.data());
  for (const float number : out) EXPECT_TRUE(std::isnan(number));
}

TEST_P(TokenRows, RotationsEqualDoublePrecision) {
  for (const std::int64_t n : {2, 16, 32, 64, 80, 96, 128, 250, 256})
    for (const RotationPairs pairs : {RotationPairs::neighbours, RotationPairs::halves}) {
      const std::vector<float> x = numbers(n), angles = numbers(n / 2);
      std::vector<float> cosines(x.size()), sines(x.size()), out(x.size());
      for (std::int64_t p = 0; p < n / 2; ++p)
        set_turn(n, pairs, p, std::cos(angles[std::size_t(p)]), std::sin(angles[std::size_t(p)]),
                 cosines.data(), sines.data());
      GetParam().rotate(x.data(), n, pairs, cosines.data(), sines.data(), out.data());
      for (std::int64_t p = 0; p < n / 2; ++p) {
        const bool halves = pairs == RotationPairs::halves;
        const auto a = std::size_t(halves ? p : 2 * p), b = std::size_t(halves ? n / 2 + p : 2 * p + 1);
        const double cosine = std::cos(double(angles[std::size_t(p)])),
                     sine = std::sin(double(angles[std::size_t(p)]));
        ASSERT_NEAR(out[a], double(x[a]) * cosine - double(x[b]) * sine, 1e-6) << p << " of " << n;
        ASSERT_NEAR(out[b], double(x[a]) * sine + double(x[b]) * cosine, 1e-6) << p << " of " << n;
      }
      std::vector<float> in_place = x;
      GetParam().rotate(in_place.data(), n, pairs, cosines.data(), sines.data(), in_place.data());
      ASSERT_EQ(in_place, out);
    }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TokenRows);
INSTANTIATE_TEST_SUITE_P(, TokenRows, testing::ValuesIn(token_rows_kernels()), kernel_name<TokenRowsKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, TokenRows, testing::ValuesIn(emulated_token_rows_kernels()),
                         kernel_name<TokenRowsKernel>);

}  // namespace
}  // namespace chunkkv::kernels
