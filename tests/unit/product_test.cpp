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

struct MatrixProduct {
  std::int64_t n_tokens, n_out, depth;
  std::vector<float> weights, x;

  MatrixProduct(std::int64_t tokens, std::int64_t out, std::int64_t d, test::Random& random)
      : n_tokens(tokens), n_out(out), depth(d), weights(std::size_t(out * d)), x(std::size_t(tokens * d)) {
    for (float& w : weights) w = random.real() - 0.5f;
    for (float& value : x) value = random.real() - 0.5f;
  }

  /// For `count` tokens from `first` on.
  ProductTask task(std::int64_t first = 0, std::int64_t count = -1) const {
    return {.n_tokens = count < 0 ? n_tokens : count,
            .n_out = n_out,
            .weights = {.data = reinterpret_cast<const char*>(weights.data()),
                        .depth = depth,
                        .row = std::size_t(depth) * sizeof(float)},
            .x = reinterpret_cast<const char*>(x.data() + first * depth),
            .x_row = std::size_t(depth) * sizeof(float)};
  }
  /// Computes the rows of `count` tokens from `first` on with `n_threads` threads.
  std::vector<float> run(const ProductKernel& kernel, int n_threads, std::int64_t first = 0,
                         std::int64_t count = -1) const {
    return run_product(kernel, task(first, count), n_threads);
  }

  /// The error of a token's row, relative to the root of the sum of all squared products in it.
  double error(const std::vector<float>& out, std::int64_t token) const {
    double difference = 0, size = 0;
    for (std::int64_t o = 0; o < n_out; ++o) {
      const float *weight = weights.data() + o * depth, *number = x.data() + token * depth;
      double sum = 0, squares = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        const double p = double(weight[k]) * double(number[k]);
        sum += p;
        squares += p * p;
      }
      difference += std::pow(sum - double(out[std::size_t(token * n_out + o)]), 2);
      size += squares;
    }
    return std::sqrt(difference / size);
  }
};

/// The same source as the kernel for AMX, with the tiles in plain C++.
constexpr ProductKernel kEmulated = amx_product<EmulatedTiles>("BF16, emulated AMX");

std::vector<const ProductKernel*> all_kernels() {
  std::vector<const ProductKernel*> kernels = {&kEmulated};
  for (const ProductKernel* kernel : product_kernels())
    if (kernel->arithmetic != Arithmetic::bytes) kernels.push_back(kernel);  // see byte_product_test.cpp
  return kernels;
}

/// Runs with every kernel that this processor has, and with the emulated one.
class FastProduct : public testing::TestWithParam<const ProductKernel*> {
 protected:
  const ProductKernel& kernel() const { return *GetParam(); }
  /// The error allowed for rounding to 13 or 11 bits, or to the 8 of BF16. That of the engine's integer
  /// products is 5e-3 to 7e-3.
  double bound() const { return kernel().arithmetic == Arithmetic::bf16_amx ? 4e-3 : 2e-3; }
  test::Random random_;
};

TEST_P(FastProduct, EqualsTheSumInDoublePrecision) {
  for (const auto& [tokens, out, depth] : std::vector<std::array<std::int64_t, 3>>{{64, 64, 32},
                                                                                   {67, 128, 96},
                                                                                   {71, 192, 576},
                                                                                   {1, 64, 64},
                                                                                   {33, 64, 1632},
                                                                                   {64, 64, 4096},
                                                                                   {65, 64, 4128},
                                                                                   {130, 128, 1056}}) {
    const MatrixProduct problem(tokens, out, depth, random_);
    const auto result = problem.run(kernel(), 2);
    for (std::int64_t t = 0; t < tokens; ++t)
      ASSERT_LT(problem.error(result, t), bound())
          << tokens << " x " << out << " x " << depth << ", token " << t;
  }
}

TEST_P(FastProduct, IsExactForSmallWholeNumbers) {
  // The largest numbers are such that scaling rounds nothing: powers of two for F16, 4095 for 13 bits.
  // Weights and activations have them at different depths, so that sums stay small.
  const bool integers = kernel().arithmetic == Arithmetic::words;
  MatrixProduct problem(64, 64, 256, random_);
  for (float& w : problem.weights) w = float(random_.integer(-2, 2));
  for (float& value : problem.x) value = float(random_.integer(-4, 4));
  for (std::size_t i = 0; i < 64; ++i)
    for (const std::size_t k : {0, 128}) {
      problem.weights[i * 256 + k] = integers ? 4095 : 2;
      problem.x[i * 256 + k + 1] = integers ? 4095 : 4;
    }
  const auto result = problem.run(kernel(), 1);
  for (std::int64_t t = 0; t < 64; ++t) EXPECT_EQ(problem.error(result, t), 0) << "token " << t;
}

/// Layouts of F32 weights like the engine's: blocks of `Outputs` x 32.
template <std::int64_t Outputs, bool ByDepth>
constexpr BlockLayout kBlocks = {
    .outputs = Outputs,
    .depth = 32,
    .bytes = Outputs * 32 * sizeof(float),
    .by_depth = ByDepth,
    .read = [](const char* block, ToFloat, float* to, std::int64_t row) {
      constexpr std::int64_t n_rows = ByDepth ? 32 : Outputs, length = Outputs * 32 / n_rows;
      for (std::int64_t r = 0; r < n_rows; ++r)
        std::memcpy(to + r * row, block + r * length * std::int64_t(sizeof(float)),
                    std::size_t(length) * sizeof(float));
    }};

TEST_P(FastProduct, WeightsInBlocksGiveWhatRowsGive) {
  for (const BlockLayout* layout : {&kBlocks<8, false>, &kBlocks<16, true>}) {
    if (layout->by_depth && !kernel().reads_by_depth) continue;
    for (const auto& [tokens, out, depth] :
         std::vector<std::array<std::int64_t, 3>>{{33, 128, 64}, {70, 192, 3104}, {5, 64, 1568}}) {
      const MatrixProduct problem(tokens, out, depth, random_);
      std::vector<float> blocks;
      for (std::int64_t o = 0; o < out; o += layout->outputs)
        for (std::int64_t k = 0; k < depth; k += 32)
          for (std::int64_t i = 0; i < layout->outputs * 32; ++i) {
            const std::int64_t output = layout->by_depth ? i % layout->outputs : i / 32;
            const std::int64_t d = layout->by_depth ? i / layout->outputs : i % 32;
            blocks.push_back(problem.weights[std::size_t((o + output) * depth + k + d)]);
          }
      const ProductTask task{
          .n_tokens = tokens,
          .n_out = out,
          .weights = {.data = reinterpret_cast<const char*>(blocks.data()), .depth = depth, .layout = layout},
          .x = reinterpret_cast<const char*>(problem.x.data()),
          .x_row = std::size_t(depth) * sizeof(float)};
      EXPECT_EQ(run_product(kernel(), task, 2), problem.run(kernel(), 2))
          << (layout->by_depth ? "by depth, " : "") << tokens << " x " << out << " x " << depth;
    }
  }
}

TEST_P(FastProduct, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  const MatrixProduct problem(101, 320, 288, random_);
  const auto whole = problem.run(kernel(), 1);
  EXPECT_EQ(problem.run(kernel(), 3), whole);
  EXPECT_EQ(problem.run(kernel(), 7), whole);  // more threads than panels
  for (const std::int64_t first : {31, 37}) {
    const auto part = problem.run(kernel(), 2, first, 64);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * 320)) << "from " << first;
  }
}

TEST_P(FastProduct, OtherWeightsUseWhatIsPacked) {
  const MatrixProduct problem(70, 128, 288, random_);
  MatrixProduct other(70, 192, 288, random_);
  other.x = problem.x;
  EXPECT_EQ(run_packed(kernel(), problem.task(), other.task(), 2), other.run(kernel(), 2));
}

TEST_P(FastProduct, NeitherOverflowsNorVanishes) {
  MatrixProduct problem(64, 64, 256, random_);
  for (std::int64_t k = 0; k < 256; ++k) {
    problem.x[std::size_t(0 * 256 + k)] *= 1e9f;
    problem.x[std::size_t(1 * 256 + k)] *= 1e-9f;
    problem.x[std::size_t(2 * 256 + k)] = 0;
    problem.x[std::size_t(3 * 256 + k)] = 5e4f;  // all of one sign
    problem.weights[std::size_t(0 * 256 + k)] *= 1e6f;
    problem.weights[std::size_t(1 * 256 + k)] = 0;
    problem.weights[std::size_t(2 * 256 + k)] = 300;
  }
  problem.x[std::size_t(4 * 256 + 7)] = 1e4f;  // an activation far beyond the others
  problem.weights[7] = 1e6f;                   // of output 0, so large that errors are relative to it alone
  const auto result = problem.run(kernel(), 2);
  for (const float value : result) ASSERT_TRUE(std::isfinite(value));
  // One output outweighs the others: the bound is eight standard deviations of its summed rounding errors.
  for (const std::int64_t t : {0, 1, 3, 4, 5}) EXPECT_LT(problem.error(result, t), 1.3e-2) << "token " << t;
  for (std::int64_t o = 0; o < 64; ++o) EXPECT_EQ(result[std::size_t(2 * 64 + o)], 0.0f);
  EXPECT_EQ(result[std::size_t(5 * 64 + 1)], 0.0f);
}

TEST_P(FastProduct, WhatIsNotFiniteStaysInItsRow) {
  if (kernel().arithmetic == Arithmetic::f16_avx512) GTEST_SKIP() << "scales by the largest number";
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    MatrixProduct problem(40, 64, 288, random_);
    const auto good = problem.run(kernel(), 2);
    problem.x[std::size_t(5 * 288 + 7)] = bad;
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

INSTANTIATE_TEST_SUITE_P(Kernels, FastProduct, testing::ValuesIn(all_kernels()),
                         [](const testing::TestParamInfo<const ProductKernel*>& info) {
                           std::string name;
                           for (const char* c = info.param->name; *c != 0; ++c)
                             if (std::isalnum(static_cast<unsigned char>(*c))) name += *c;
                           return name;
                         });

}  // namespace
}  // namespace chunkkv::kernels
