#include "kernels/product.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace chunkkv::kernels {
namespace {

struct Free {
  void operator()(char* p) const { std::free(p); }
};
using Memory = std::unique_ptr<char, Free>;

Memory aligned_memory(std::size_t bytes) {
  return Memory(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
}

struct Problem {
  std::int64_t n_tokens, n_out, depth;
  std::vector<float> weights, x;

  Problem(std::int64_t tokens, std::int64_t out, std::int64_t d, test::Random& random)
      : n_tokens(tokens), n_out(out), depth(d), weights(std::size_t(out * d)), x(std::size_t(tokens * d)) {
    for (float& w : weights) w = random.real() - 0.5f;
    for (float& value : x) value = random.real() - 0.5f;
  }

  /// The rows of `count` tokens from `first` on, by `n_threads` threads.
  std::vector<float> run(int n_threads, std::int64_t first = 0, std::int64_t count = -1) const {
    std::vector<float> out(std::size_t((count < 0 ? n_tokens : count) * n_out), -1.0f);
    const ProductTask task{.n_tokens = count < 0 ? n_tokens : count,
                           .n_out = n_out,
                           .depth = depth,
                           .weights = reinterpret_cast<const char*>(weights.data()),
                           .weights_row = std::size_t(depth) * sizeof(float),
                           .to_float = nullptr,
                           .x = reinterpret_cast<const char*>(x.data() + first * depth),
                           .x_row = std::size_t(depth) * sizeof(float),
                           .out = reinterpret_cast<char*>(out.data()),
                           .out_row = std::size_t(n_out) * sizeof(float)};
    const Memory shared = aligned_memory(product_shared_bytes(task));
    std::atomic<std::uint64_t> arrived = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < n_threads; ++t)
      threads.emplace_back([&, t] {
        const Memory own = aligned_memory(product_thread_bytes(task));
        product(task, t, n_threads, shared.get(), own.get(), arrived);
      });
    for (std::thread& t : threads) t.join();
    return out;
  }

  /// The error of a token's row, relative to the length of that row and to what rounding is relative to.
  double error(const std::vector<float>& out, std::int64_t token) const {
    double difference = 0, size = 0;
    for (std::int64_t o = 0; o < n_out; ++o) {
      double sum = 0, squares = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        const double p =
            double(weights[std::size_t(o * depth + k)]) * double(x[std::size_t(token * depth + k)]);
        sum += p;
        squares += p * p;
      }
      difference += std::pow(sum - double(out[std::size_t(token * n_out + o)]), 2);
      size += squares;
    }
    return std::sqrt(difference / size);
  }
};

/// These run where the processor can; elsewhere there is nothing of it to be wrong, and the engine computes.
class FastProduct : public testing::Test {
 protected:
  test::Random random_;
};

TEST_F(FastProduct, EqualsTheSumInDoublePrecision) {
  if (!has_fast_product()) return;
  for (const auto& [tokens, out, depth] : std::vector<std::array<std::int64_t, 3>>{
           {64, 64, 32}, {67, 128, 96}, {71, 192, 576}, {64, 64, 4096}, {65, 64, 4128}, {130, 320, 1056}}) {
    const Problem problem(tokens, out, depth, random_);
    const auto result = problem.run(2);
    for (std::int64_t t = 0; t < tokens; ++t)
      ASSERT_LT(problem.error(result, t), 2e-3)
          << tokens << " x " << out << " x " << depth << ", token " << t;
  }
}

TEST_F(FastProduct, IsExactForSmallWholeNumbers) {
  if (!has_fast_product()) return;
  Problem problem(64, 64, 64, random_);
  // Powers of two as the largest numbers, so that scaling rounds nothing; sums below 2048 are exact in F16.
  for (float& w : problem.weights) w = float(random_.integer(-2, 2));
  for (float& value : problem.x) value = float(random_.integer(-4, 4));
  for (std::int64_t i = 0; i < 64; ++i)
    problem.weights[std::size_t(i * 64)] = 2, problem.x[std::size_t(i * 64)] = 4;
  const auto result = problem.run(1);
  for (std::int64_t t = 0; t < 64; ++t) EXPECT_EQ(problem.error(result, t), 0) << "token " << t;
}

TEST_F(FastProduct, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  if (!has_fast_product()) return;
  const Problem problem(101, 320, 288, random_);
  const auto whole = problem.run(1);
  EXPECT_EQ(problem.run(3), whole);
  EXPECT_EQ(problem.run(7), whole);  // more threads than panels
  const auto part = problem.run(2, 31, 64);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 31 * 320));
}

TEST_F(FastProduct, NeitherOverflowsNorVanishes) {
  if (!has_fast_product()) return;
  Problem problem(64, 64, 256, random_);
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
  const auto result = problem.run(2);
  for (const float value : result) ASSERT_TRUE(std::isfinite(value));
  for (const std::int64_t t : {0, 1, 3, 4, 5}) EXPECT_LT(problem.error(result, t), 5e-3) << "token " << t;
  for (std::int64_t o = 0; o < 64; ++o) EXPECT_EQ(result[std::size_t(2 * 64 + o)], 0.0f);
  EXPECT_EQ(result[std::size_t(5 * 64 + 1)], 0.0f);
}

}  // namespace
}  // namespace chunkkv::kernels
