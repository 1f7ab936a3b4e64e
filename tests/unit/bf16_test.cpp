#include "kernels/bf16.h"

#include "unit/bf16_numbers.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace chunkkv::kernels {
namespace {

/// Compares with the nearer of the two neighbours in BF16, found in double precision.
TEST(RoundedToBf16, IsTheNearestTiesToEven) {
  std::mt19937 rng(test::random_seed());
  std::vector<float> numbers = {0.0f,
                                -0.0f,
                                1.0f,
                                std::bit_cast<float>(0x3f808000u),
                                std::bit_cast<float>(0x3f818000u),
                                std::bit_cast<float>(0x7f7fffffu),
                                1e-40f,
                                std::numeric_limits<float>::infinity()};
  while (numbers.size() < 4096) {
    const float x = std::bit_cast<float>(std::uint32_t(rng()));
    if (!std::isnan(x)) numbers.push_back(x);
  }
  for (std::size_t i = 0; i + 16 <= numbers.size(); i += 16) {
    Floats x{};
    for (std::size_t j = 0; j < 16; ++j) x[j] = numbers[i + j];
    const Words pairs = bf16_pairs(x, -x);
    for (std::size_t j = 0; j < 16; ++j) {
      const float from = numbers[i + j], to = low(pairs[j]);
      ASSERT_EQ(high(pairs[j]), -to);
      if (std::fabs(from) < std::numeric_limits<float>::min()) {
        ASSERT_EQ(to, 0.0f);
        continue;
      }
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(from);
      const double below = std::bit_cast<float>(bits & 0xffff0000u);
      const std::uint32_t next = (bits & 0xffff0000u) + 0x10000u;
      const bool over = (next & 0x7fffffffu) == 0x7f800000u;  // `next` is infinity: 2^128 in its place
      const double above = over ? std::copysign(0x1p128, below) : double(std::bit_cast<float>(next));
      const double d = std::fabs(double(from) - below), u = std::fabs(above - double(from));
      const bool up = std::isfinite(from) && (u < d || (u == d && (bits & 0x10000u) != 0));
      ASSERT_EQ(to, std::bit_cast<float>(up ? next : bits & 0xffff0000u)) << from;
    }
  }
}

TEST(RoundedToBf16, KeepsNotANumber) {
  Floats x{};
  x[3] = std::bit_cast<float>(0x7f800001u);  // its upper half alone would be infinity
  EXPECT_TRUE(std::isnan(low(bf16_pairs(x, x)[3])));
  EXPECT_TRUE(std::isnan(high(bf16_pairs(x, x)[3])));
}

using Sixteen = std::array<float, 16>;
struct Sums {
  Words a{}, b{};
  Floats c{};
};

/// Sums of pairs of products: of numbers near 1, of such that products are denormal or nearly, and of any.
std::vector<Sums> random_sums() {
  std::mt19937 rng(test::random_seed());
  std::vector<Sums> all(3000);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::normal_distribution<float> number(0, i % 3 == 0 ? 1.0f : 1e-19f);
    const auto next = [&] { return i % 3 == 2 ? std::bit_cast<float>(std::uint32_t(rng())) : number(rng); };
    for (int lane = 0; lane < 16; ++lane) {
      all[i].a[lane] = pair_of(next(), next());
      all[i].b[lane] = pair_of(next(), next());
      all[i].c[lane] = i % 3 == 1 ? number(rng) * 1e-19f : next();
    }
  }
  return all;
}

float without_denormals(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

/// The odd product first, each rounded once (Intel's Software Developer's Manual, VDPBF16PS).
Sixteen one_by_one(const Sums& s) {
  const auto product = [](float x, float y, float sum) {
    return without_denormals(std::fma(without_denormals(x), without_denormals(y), sum));
  };
  Sixteen sums;
  for (int i = 0; i < 16; ++i)
    sums[std::size_t(i)] =
        product(low(s.a[i]), low(s.b[i]), product(high(s.a[i]), high(s.b[i]), without_denormals(s.c[i])));
  return sums;
}

void expect_same(const Sixteen& actual, const Sixteen& expected, const Sums& s) {
  for (std::size_t i = 0; i < 16; ++i) {
    if (std::isnan(expected[i])) continue;
    ASSERT_EQ(actual[i], expected[i])
        << low(s.a[int(i)]) << " x " << low(s.b[int(i)]) << " + " << high(s.a[int(i)]) << " x "
        << high(s.b[int(i)]) << " + " << s.c[int(i)];
  }
}

TEST(ProductsInBf16, AreAddedOneByOne) {
  for (const Sums& s : random_sums())
    expect_same(std::bit_cast<Sixteen>(add_products(s.a, s.b, s.c)), one_by_one(s), s);
}

#ifdef __x86_64__
__attribute__((target("avx512f,avx512bf16"))) Sixteen by_the_processor(const Sums& s) {
  Sixteen sums;
  const __m512i a = _mm512_loadu_si512(&s.a), b = _mm512_loadu_si512(&s.b);
  _mm512_storeu_ps(sums.data(), _mm512_dpbf16_ps(_mm512_loadu_ps(&s.c), (__m512bh)a, (__m512bh)b));
  return sums;
}
#endif

/// Bit for bit on AMD's processors. Of others only the manual is known, which does not say whether a product
/// is rounded before it is added: that matters below the normal numbers.
TEST(ProductsInBf16, AreTheProcessors) {
#ifdef __x86_64__
  if (!__builtin_cpu_supports("avx512bf16")) GTEST_SKIP() << "this processor has no AVX512-BF16";
  const bool bit_for_bit = __builtin_cpu_is("amd");
  for (const Sums& s : random_sums()) {
    const auto ours = std::bit_cast<Sixteen>(add_products(s.a, s.b, s.c)), processors = by_the_processor(s);
    if (bit_for_bit) {
      expect_same(ours, processors, s);
      continue;
    }
    for (int i = 0; i < 16; ++i) {
      const float size =
          std::fabs(low(s.a[i]) * low(s.b[i])) + std::fabs(high(s.a[i]) * high(s.b[i])) + std::fabs(s.c[i]);
      if (!std::isfinite(size)) continue;
      ASSERT_NEAR(ours[std::size_t(i)], processors[std::size_t(i)], size * 0x1p-22f + 0x1p-124f);
    }
  }
#else
  GTEST_SKIP() << "this processor has no AVX512-BF16";
#endif
}

}  // namespace
}  // namespace chunkkv::kernels
