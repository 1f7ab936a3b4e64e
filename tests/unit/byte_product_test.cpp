// Products with weights that are stored as small whole numbers, in a format of the test's own: a block of a
// row holds a scale and an offset (`min`) for every part, then one byte for each number.
#include "kernels/product.h"

#include "kernels/product_amx.h"
#include "unit/product_run.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace chunkkv::kernels {
namespace {

template <int Depth, int Part>
void read_block(const char* block, std::size_t row, const ByteQuants::Target& to) {
  constexpr std::size_t parts = Depth / Part;
  for (std::size_t r = 0; r < 8; ++r) {
    const char* from = block + row * r;
    for (std::size_t p = 0; p < parts; ++p) {
      std::memcpy(to.scales + to.part_step * p + r, from + 8 * p, 4);
      std::memcpy(to.mins + to.part_step * p + r, from + 8 * p + 4, 4);
    }
    for (std::size_t quad = 0; quad < Depth / 4; ++quad)
      std::memcpy(to.numbers + to.quad_bytes * quad + 4 * r, from + 8 * parts + 4 * quad, 4);
  }
}

/// Numbers up to 15, 31, 63 and 255. A 16-bit sum holds at most 8, 4, 2 and 0 pairs of their products
/// (`chain`).
constexpr ByteQuants kFourBits = {32, 40, 32, 8, 0, false, read_block<32, 32>};
constexpr ByteQuants kFiveBits = {256, 320, 32, 4, 0, false, read_block<256, 32>};
constexpr ByteQuants kSixBits = {256, 384, 16, 2, 0, false, read_block<256, 16>};
constexpr ByteQuants kEightBits = {32, 40, 32, 0, 0, false, read_block<32, 32>};
/// The same without mins.
constexpr ByteQuants kFourSigned = {32, 40, 32, 8, 8, false, read_block<32, 32>};
constexpr ByteQuants kFiveSigned = {256, 320, 32, 4, 16, false, read_block<256, 32>};
constexpr ByteQuants kSixSigned = {256, 384, 16, 2, 32, false, read_block<256, 16>};
constexpr ByteQuants kEightSigned = {32, 40, 32, 0, 128, false, read_block<32, 32>};
constexpr int highest(const ByteQuants& quants) {
  return quants.chain == 8 ? 15 : quants.chain == 4 ? 31 : quants.chain == 2 ? 63 : 255;
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
          *weight++ = quants.offset != 0 ? s * float(n - quants.offset) : s * float(n) - m;
        }
      }
    }
    for (float& value : x) value = activation();
  }

  void fill(test::Random& random) {
    fill([&] { return random.integer(0, highest(quants)); }, [&] { return random.real() - 0.5f; },
         [&] { return 8 * (random.real() - 0.5f); }, [&] { return random.real() - 0.5f; });
  }

  ProductTask task(std::int64_t first = 0, std::int64_t count = -1) const {
    return {.n_tokens = count < 0 ? n_tokens : count,
            .n_out = n_out,
            .weights = {.data = data.data(),
                        .depth = depth,
                        .row = std::size_t(depth / quants.depth) * quants.bytes,
                        .quants = &quants},
            .x = reinterpret_cast<const char*>(x.data() + first * depth),
            .x_row = std::size_t(depth) * sizeof(float)};
  }
  std::vector<float> run(const ProductKernel& kernel, int n_threads, std::int64_t first = 0,
                         std::int64_t count = -1) const {
    return run_product(kernel, task(first, count), n_threads);
  }

  double exact(std::int64_t token, std::int64_t output) const {
    double sum = 0;
    for (std::int64_t k = 0; k < depth; ++k)
      sum += double(weights[std::size_t(output * depth + k)]) * double(x[std::size_t(token * depth + k)]);
    return sum;
  }
};

struct ByteCase {
  const ByteQuants* quants;
  const ProductKernel* kernel;
};

/// All kernels that this processor has, each with the numbers that it can read.
std::vector<ByteCase> byte_cases() {
  std::vector<ByteCase> cases;
  for (const ProductKernel* kernel : product_kernels())
    for (const ByteQuants* quants : {&kFourBits, &kFiveBits, &kSixBits, &kEightBits, &kFourSigned,
                                     &kFiveSigned, &kSixSigned, &kEightSigned})
      if (kernel->arithmetic == Arithmetic::bytes && can_read(*kernel, *quants))
        cases.push_back({quants, kernel});
  return cases;
}

class ByteProduct : public testing::TestWithParam<ByteCase> {
 protected:
  const ByteQuants& quants() const { return *GetParam().quants; }
  const ProductKernel& kernel() const { return *GetParam().kernel; }
  test::Random random_;
};
// A processor without AVX2 has none of these kernels.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ByteProduct);

TEST_P(ByteProduct, IsAsNearAsTheEngines) {
  for (const auto& [tokens, out, depth] :
       std::vector<std::array<std::int64_t, 3>>{{67, 64, 256}, {3, 192, 768}, {20, 64, 2304}}) {
    ByteProblem problem(quants(), tokens, out, depth);
    problem.fill(random_);
    const auto result = problem.run(kernel(), 2);
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
  ByteProblem problem(quants(), 13, 64, 512);
  int i = 0;
  problem.fill([&] { return random_.integer(0, highest(quants())); },
               [&] { return float(random_.integer(-2, 2)); }, [&] { return float(random_.integer(-9, 9)); },
               [&] { return i++ % 32 == 5 ? 127.0f : float(random_.integer(-127, 127)); });
  const auto result = problem.run(kernel(), 1);
  for (std::int64_t t = 0; t < 13; ++t)
    for (std::int64_t o = 0; o < 64; ++o)
      ASSERT_EQ(double(result[std::size_t(t * 64 + o)]), problem.exact(t, o)) << t << ", " << o;
}

/// The largest possible sums do not overflow 16 bits.
TEST_P(ByteProduct, TheLargestNumbersFit) {
  for (const float sign : {1.0f, -1.0f}) {
    ByteProblem problem(quants(), 7, 64, 256);
    problem.fill([&] { return highest(quants()); }, [] { return 1.0f; }, [] { return 0.0f; },
                 [&] { return 127 * sign; });
    const auto result = problem.run(kernel(), 1);
    for (const float value : result) ASSERT_EQ(double(value), problem.exact(0, 0));
  }
}

TEST_P(ByteProduct, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  ByteProblem problem(quants(), 101, 320, 512);
  problem.fill(random_);
  const auto whole = problem.run(kernel(), 1);
  EXPECT_EQ(problem.run(kernel(), 3), whole);
  for (const std::int64_t first : {31, 37}) {
    const auto part = problem.run(kernel(), 2, first, 64);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * 320)) << "from " << first;
  }
}

TEST_P(ByteProduct, OtherWeightsUseWhatIsPacked) {
  ByteProblem problem(quants(), 70, 128, 512), other(quants(), 70, 64, 512);
  problem.fill(random_);
  other.fill(random_);
  other.x = problem.x;
  EXPECT_EQ(run_packed(kernel(), problem.task(), other.task(), 2), other.run(kernel(), 2));
}

TEST_P(ByteProduct, WhatIsNotFiniteStaysInItsRow) {
  ByteProblem problem(quants(), 40, 64, 256);
  problem.fill(random_);
  const auto good = problem.run(kernel(), 2);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    problem.x[5 * 256 + 7] = bad;
    const auto result = problem.run(kernel(), 2);
    for (std::size_t t = 0; t < 40; ++t)
      for (std::size_t o = 0; o < 64; ++o) {
        if (t == 5)
          ASSERT_FALSE(std::isfinite(result[t * 64 + o])) << "output " << o;
        else
          ASSERT_EQ(result[t * 64 + o], good[t * 64 + o]) << "token " << t << ", output " << o;
      }
  }
}

/// Tiles read the same weights, in BF16: whole numbers times powers of two of up to 8 bits are exact there.
class TilesOfNumbers : public testing::TestWithParam<const ByteQuants*> {};

TEST_P(TilesOfNumbers, AreThoseOfPlainRows) {
  constexpr ProductKernel tiles = amx_product<EmulatedTiles>("BF16, emulated AMX");
  test::Random random;
  const ByteQuants& quants = *GetParam();
  for (const auto& [tokens, out, depth] :
       std::vector<std::array<std::int64_t, 3>>{{33, 64, 256}, {5, 128, 1792}}) {
    ByteProblem problem(quants, tokens, out, depth);
    problem.fill([&] { return random.integer(0, std::min(63, highest(quants))); },
                 [&] { return std::ldexp(1.0f, random.integer(-3, 3)); },
                 [&] { return float(random.integer(-2, 2)); }, [&] { return random.real() - 0.5f; });
    ByteProblem plain = problem;
    const auto expected =
        run_product(tiles,
                    {.n_tokens = tokens,
                     .n_out = out,
                     .weights = {.data = reinterpret_cast<const char*>(plain.weights.data()),
                                 .depth = depth,
                                 .row = std::size_t(depth) * sizeof(float)},
                     .x = reinterpret_cast<const char*>(plain.x.data()),
                     .x_row = std::size_t(depth) * sizeof(float)},
                    2);
    EXPECT_EQ(problem.run(tiles, 2), expected) << tokens << " x " << out << " x " << depth;
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, TilesOfNumbers,
                         testing::Values(&kFourBits, &kFiveBits, &kSixBits, &kEightBits, &kFourSigned,
                                         &kFiveSigned, &kSixSigned, &kEightSigned),
                         [](const auto& info) { return "number" + std::to_string(info.index); });

INSTANTIATE_TEST_SUITE_P(Bits, ByteProduct, testing::ValuesIn(byte_cases()), [](const auto& info) {
  const ByteQuants& quants = *info.param.quants;
  std::string name =
      std::to_string(highest(quants)) + (quants.offset != 0 ? "_signed_" : "_") + info.param.kernel->name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace chunkkv::kernels
