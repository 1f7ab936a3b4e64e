#include "kernels/similar_keys.h"

#include "unit/attention_problem.h"

namespace chunkkv::kernels {
namespace {

/// Keys that resemble each other more or less, and for each what a slow search in double precision finds.
struct Search {
  std::int64_t n, depth;
  float threshold;
  std::vector<float> keys;
  std::vector<double> products;  // [n][n]
  std::vector<std::int32_t> expected;

  Search(std::int64_t count, std::int64_t width, float bound, test::Random& random)
      : n(count),
        depth(width),
        threshold(bound),
        keys(std::size_t(count * width)),
        products(std::size_t(count * count)),
        expected(std::size_t(n)) {
    for (std::int64_t i = 0; i < n; ++i) {
      // Many keys go in one of a few directions; some are copies, some are 0.
      const int direction = random.integer(0, 5), kind = random.integer(0, 9);
      double square = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        float& x = key(i)[d];
        x = random.real() - 0.5f + (d % 6 == direction ? 1.5f : 0.0f);
        if (kind == 0) x = 0;
        if (kind == 1 && i > 0) x = key(i - 1)[d];
        square += double(x) * double(x);
      }
      for (std::int64_t d = 0; square > 0 && d < depth; ++d) key(i)[d] /= float(std::sqrt(square));
    }
    multiply();
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t j = n - 1;
      while (j > 0 && (i == j || product(i, j) <= double(threshold))) --j;
      expected[std::size_t(i)] = std::int32_t(j);
    }
  }

  float* key(std::int64_t i) { return keys.data() + i * depth; }
  double& product(std::int64_t i, std::int64_t j) { return products[std::size_t(i * n + j)]; }
  /// Computes `products`; to be called again when `keys` have changed.
  void multiply() {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        double sum = 0;
        const float *a = key(i), *b = key(j);
        for (std::int64_t d = 0; d < depth; ++d) sum += double(a[d]) * double(b[d]);
        product(i, j) = product(j, i) = sum;
      }
  }
  bool is_close_call(std::int64_t i) {
    for (std::int64_t j = 0; j < n; ++j)
      if (i != j && std::fabs(product(i, j) - double(threshold)) < 1e-6) return true;
    return false;
  }
};

class SimilarKeys : public testing::TestWithParam<SimilarKeysKernel> {
 protected:
  std::vector<std::int32_t> newest(Search& search, int n_threads = 1) {
    const auto n = std::size_t(search.n);
    std::vector<std::int32_t> result(n, -7);
    std::vector<float> of_newest(n), of_others(n);
    std::vector<double> sums(std::size_t(search.depth));
    for (std::int64_t i = 0; i < search.n; ++i)
      for (std::int64_t d = 0; d < search.depth; ++d) sums[std::size_t(d)] += double(search.key(i)[d]);
    const std::vector<float> sum(sums.begin(), sums.end());
    SimilarKeysTask task{.n = search.n,
                         .depth = search.depth,
                         .keys = search.keys.data(),
                         .sum = sum.data(),
                         .threshold = search.threshold,
                         .newest = result.data(),
                         .of_newest = of_newest.data(),
                         .of_others = of_others.data()};
    const AlignedBlock packed(GetParam().packed_bytes(task));
    task.packed = packed.get();
    // In parts, the last one first.
    for (std::int64_t first = (search.n - 1) / 192 * 192; first >= 0; first -= 192)
      GetParam().pack(task, first, std::min(search.n, first + 192));
    on_threads(n_threads, GetParam().thread_bytes(task),
               [&](char* own, std::atomic<std::int64_t>& next) { GetParam().run(task, own, next); });
    for (std::int64_t i = 0; i < search.n; ++i) {
      double others = 0;
      for (std::int64_t j = 0; j < search.n; ++j) others += j == i ? 0 : search.product(i, j);
      if (std::isnan(others)) continue;
      EXPECT_NEAR(of_others[std::size_t(i)], others, 1e-6 * double(search.n));
      EXPECT_NEAR(of_newest[std::size_t(i)], search.product(i, result[std::size_t(i)]), 1e-6);
    }
    return result;
  }
  test::Random random_;
};

TEST_P(SimilarKeys, EqualASlowSearchWhateverTheShape) {
  int n_found = 0, n_alone = 0;
  for (const auto& [n, depth, threshold] :
       std::vector<std::tuple<std::int64_t, std::int64_t, float>>{{1, 64, 0.5f},
                                                                  {2, 64, 0.9f},
                                                                  {130, 16, 0.99f},
                                                                  {777, 64, 0.8f},
                                                                  {1500, 64, 0.97f},
                                                                  {300, 80, 0.93f},
                                                                  {520, 128, -0.5f},
                                                                  {260, 256, 0.9f}}) {
    Search search(n, depth, threshold, random_);
    const auto result = newest(search, 2);
    for (std::int64_t i = 0; i < n; ++i) {
      if (search.is_close_call(i)) continue;
      ASSERT_EQ(result[std::size_t(i)], search.expected[std::size_t(i)])
          << "key " << i << " of " << n << ", depth " << depth << ", threshold " << threshold;
      (result[std::size_t(i)] == 0 ? n_alone : n_found) += 1;
    }
  }
  EXPECT_GT(n_found, 500);  // both cases occurred
  EXPECT_GT(n_alone, 50);
}

TEST_P(SimilarKeys, WhatIsNoNumberResemblesNothing) {
  Search search(90, 64, 0.5f, random_);
  for (std::int64_t i = 0; i < 90; ++i)
    for (std::int64_t d = 0; d < 64; ++d) search.key(i)[d] = d == 3 ? 1.0f : 0.0f;
  search.key(89)[5] = search.key(88)[5] = std::nanf("");
  search.multiply();
  const auto result = newest(search);
  for (std::size_t i = 0; i < 90; ++i) EXPECT_EQ(result[i], i >= 88 ? 0 : i == 87 ? 86 : 87);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SimilarKeys);
INSTANTIATE_TEST_SUITE_P(, SimilarKeys, testing::ValuesIn(similar_keys_kernels()),
                         kernel_name<SimilarKeysKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, SimilarKeys, testing::ValuesIn(emulated_similar_keys_kernels()),
                         kernel_name<SimilarKeysKernel>);

}  // namespace
}  // namespace chunkkv::kernels
