// Products with weights that are stored as small whole numbers, in a format of the test's own: a block of a
// row holds a scale and an offset (`min`) for every part, then one byte for each number.
#include "kernels/product.h"

#include "unit/product_run.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace chunkkv::kernels {
namespace {

template <int Depth, int Part>
void read_block(const char* block, std::size_t row, std::uint8_t* numbers, float* scales, float* mins) {
  constexpr int parts = Depth / Part;
  for (std::size_t r = 0; r < 8; ++r)
    for (std::size_t p = 0; p < parts; ++p) {
      const char* from = block + row * r;
      std::memcpy(scales + 8 * p + r, from + 8 * p, 4);
      std::memcpy(mins + 8 * p + r, from + 8 * p + 4, 4);
      std::memcpy(numbers + std::size_t(kMostQuantDepth) * r, from + 8 * parts, Depth);
    }
}

/// Numbers up to 15, 31 and 63. A 16-bit sum holds at most 8, 4 and 2 pairs of their products (`chain`).
constexpr ByteQuants kFourBits = {32, 40, 32, 8, false, read_block<32, 32>};
constexpr ByteQuants kFiveBits = {256, 320, 32, 4, false, read_block<256, 32>};
constexpr ByteQuants kSixBits = {256, 384, 16, 2, false, read_block<256, 16>};
constexpr int highest(const ByteQuants& quants) {
  return quants.chain == 8 ? 15 : quants.chain == 4 ? 31 : 63;
}

struct ByteProblem {
  const ByteQuants& quants;
  std::int64_t n_tokens, n_out, depth;
  std::vector<char> data;
  std::vector<float> weights, x;

  ByteProblem(const ByteQuants& q, std::int64_t tokens, std::int64_t out, std::int64_t d)
      : quants(q),
        n_tokens(tokens),
        n_out(out),
        depth(d),
        data(std::size_t(out * d / q.depth) * q.bytes),
        weights(std::size_t(out * d)),
        x(std::size_t(tokens * d)) {}

  /// Fills all weights from number(), scale() and min(), and all activations from activation().
  template <class Number, class Scale, class Min, class Activation>
  void fill(Number number, Scale scale, Min min, Activation activation) {
    float* weight = weights.data();
    for (std::size_t b = 0; b < data.size() / quants.bytes; ++b) {
      char* block = data.data() + b * quants.bytes;
      char* bytes = block + 8 * quants.depth / quants.part;
      for (std::int64_t p = 0; p < quants.depth / quants.part; ++p) {
        const float s = scale(), m = min();
        std::memcpy(block + 8 * p, &s, 4);
        std::memcpy(block + 8 * p + 4, &m, 4);
        for (std::int64_t k = 0; k < quants.part; ++k) {
          const int n = number();
          bytes[p * quants.part + k] = char(n);
          *weight++ = s * float(n) - m;
        }
      }
    }
    for (float& value : x) value = activation();
  }

  void fill(test::Random& random) {
    fill([&] { return random.integer(0, highest(quants)); }, [&] { return random.real() - 0.5f; },
         [&] { return 8 * (random.real() - 0.5f); }, [&] { return random.real() - 0.5f; });
  }

  std::vector<float> run(const ProductKernel& kernel, int n_threads, std::int64_t first = 0,
                         std::int64_t count = -1) const {
    return run_product(kernel,
                       {.n_tokens = count < 0 ? n_tokens : count,
                        .n_out = n_out,
                        .weights = {.data = data.data(),
                                    .depth = depth,
                                    .row = std::size_t(depth / quants.depth) * quants.bytes,
                                    .quants = &quants},
                        .x = reinterpret_cast<const char*>(x.data() + first * depth),
                        .x_row = std::size_t(depth) * sizeof(float)},
                       n_threads);
  }

  double exact(std::int64_t token, std::int64_t output) const {
    double sum = 0;
    for (std::int64_t k = 0; k < depth; ++k)
      sum += double(weights[std::size_t(output * depth + k)]) * double(x[std::size_t(token * depth + k)]);
    return sum;
  }
};

class ByteProduct : public testing::TestWithParam<const ByteQuants*> {
 protected:
  void SetUp() override {
    kernel_ = product_kernel(Arithmetic::bytes_avx2);
    if (kernel_ == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  }
  const ProductKernel* kernel_ = nullptr;
  test::Random random_;
};

TEST_P(ByteProduct, IsAsNearAsTheEngines) {
  for (const auto& [tokens, out, depth] :
       std::vector<std::array<std::int64_t, 3>>{{67, 64, 256}, {3, 192, 768}, {20, 64, 2304}}) {
    ByteProblem problem(*GetParam(), tokens, out, depth);
    problem.fill(random_);
    const auto result = problem.run(*kernel_, 2);
    double difference = 0, size = 0;
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t o = 0; o < out; ++o) {
        const double exact = problem.exact(t, o);
        difference += std::pow(exact - double(result[std::size_t(t * out + o)]), 2);
        size += exact * exact;
      }
    EXPECT_LT(std::sqrt(difference / size), 7e-3) << tokens << " x " << out << " x " << depth;
  }
}

/// Whole activations, with a 127 in every 32, are not rounded, and all sums are small enough to be exact.
TEST_P(ByteProduct, IsExactForWholeNumbers) {
  ByteProblem problem(*GetParam(), 13, 64, 512);
  int i = 0;
  problem.fill([&] { return random_.integer(0, highest(*GetParam())); },
               [&] { return float(random_.integer(-2, 2)); }, [&] { return float(random_.integer(-9, 9)); },
               [&] { return i++ % 32 == 5 ? 127.0f : float(random_.integer(-127, 127)); });
  const auto result = problem.run(*kernel_, 1);
  for (std::int64_t t = 0; t < 13; ++t)
    for (std::int64_t o = 0; o < 64; ++o)
      ASSERT_EQ(double(result[std::size_t(t * 64 + o)]), problem.exact(t, o)) << t << ", " << o;
}

/// The largest possible sums do not overflow 16 bits.
TEST_P(ByteProduct, TheLargestNumbersFit) {
  for (const float sign : {1.0f, -1.0f}) {
    ByteProblem problem(*GetParam(), 7, 64, 256);
    problem.fill([&] { return highest(*GetParam()); }, [] { return 1.0f; }, [] { return 0.0f; },
                 [&] { return 127 * sign; });
    const auto result = problem.run(*kernel_, 1);
    for (const float value : result) ASSERT_EQ(double(value), problem.exact(0, 0));
  }
}

TEST_P(ByteProduct, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  ByteProblem problem(*GetParam(), 101, 320, 512);
  problem.fill(random_);
  const auto whole = problem.run(*kernel_, 1);
  EXPECT_EQ(problem.run(*kernel_, 3), whole);
  for (const std::int64_t first : {31, 37}) {
    const auto part = problem.run(*kernel_, 2, first, 64);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * 320)) << "from " << first;
  }
}

TEST_P(ByteProduct, WhatIsNotFiniteStaysInItsRow) {
  ByteProblem problem(*GetParam(), 40, 64, 256);
  problem.fill(random_);
  const auto good = problem.run(*kernel_, 2);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    problem.x[5 * 256 + 7] = bad;
    const auto result = problem.run(*kernel_, 2);
    for (std::size_t t = 0; t < 40; ++t)
      for (std::size_t o = 0; o < 64; ++o) {
        if (t == 5)
          ASSERT_FALSE(std::isfinite(result[t * 64 + o])) << "output " << o;
        else
          ASSERT_EQ(result[t * 64 + o], good[t * 64 + o]) << "token " << t << ", output " << o;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, ByteProduct, testing::Values(&kFourBits, &kFiveBits, &kSixBits),
                         [](const auto& info) { return std::to_string(highest(*info.param)); });

}  // namespace
}  // namespace chunkkv::kernels
