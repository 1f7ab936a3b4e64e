#include "kernels/similar_keys.h"

#include "unit/attention_problem.h"

namespace chunkkv::kernels {
namespace {

/// Keys that resemble each other more or less, and for each what a slow search in double precision finds.
struct Search {
  std::int64_t n, depth;
  float threshold;
  std::vector<float> keys;
  std::vector<std::uint16_t> rows;  // of a cache in which another head's follow each; may be empty
  std::vector<std::int32_t> cells;  // of the keys
  std::vector<double> products;     // [n][n]
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
    find();
  }

  /// Puts the keys into a cache, as rows of any length. Keys are what is left of them there.
  void store(test::Random& random) {
    rows.assign(std::size_t(2 * n * depth), half_bits(7));
    for (std::int64_t i = 0; i < n; ++i) {
      cells.push_back(std::int32_t(n - 1 - i));
      std::uint16_t* row = rows.data() + 2 * depth * cells.back();
      const float length = 0.5f + 20 * random.real();
      double square = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        row[d] = half_bits(length * key(i)[d]);
        square += half_value(row[d]) * half_value(row[d]);
      }
      for (std::int64_t d = 0; square > 0 && d < depth; ++d)
        key(i)[d] = float(half_value(row[d]) / std::sqrt(square));
    }
    find();
  }

  /// What a slow search finds; to be called again when `keys` have changed.
  void find() {
    multiply();
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t j = n - 1;
      while (j > 0 && (i == j || product(i, j) <= double(threshold))) --j;
      expected[std::size_t(i)] = std::int32_t(j);
    }
  }

  float* key(std::int64_t i) { return keys.data() + i * depth; }
  double& product(std::int64_t i, std::int64_t j) { return products[std::size_t(i * n + j)]; }
  /// Computes `products`; where nothing else is asked for, it is enough when `keys` have changed.
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
    std::vector<float> of_newest(n), of_others(n), factors(n, -7.0f), errors(n);
    const bool in_cache = !search.rows.empty();
    SimilarKeysTask task{.n = search.n,
                         .depth = search.depth,
                         .keys = in_cache ? nullptr : search.keys.data(),
                         .rows = {.rows = reinterpret_cast<const char*>(search.rows.data()),
                                  .row_bytes = std::size_t(4 * search.depth),
                                  .cells = search.cells.data(),
                                  .depth = search.depth},
                         .smallest = 1e-8f,
                         .factors = factors.data(),
                         .errors = errors.data(),
                         .threshold = search.threshold,
                         .newest = result.data(),
                         .of_newest = of_newest.data(),
                         .of_others = of_others.data()};
    const AlignedBlock packed(GetParam().packed_bytes(task));
    task.packed = packed.get();
    GetParam().prepare(task);
    // In parts, the last one first.
    std::vector<float> sum(std::size_t(search.depth)), part(sum.size(), -7.0f);
    for (std::int64_t first = (search.n - 1) / 192 * 192; first >= 0; first -= 192) {
      GetParam().pack(task, first, std::min(search.n, first + 192), part.data());
      for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += part[d];
    }
    task.sum = sum.data();
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

/// Searches of many shapes, for all kernels: the slow search takes longer than theirs. Each is there twice,
/// with keys as they are and from a cache.
std::vector<Search>& searches() {
  static std::vector<Search> all = [] {
    test::Random random;
    std::vector<Search> result;
    for (const auto& [n, depth, threshold] :
         std::vector<std::tuple<std::int64_t, std::int64_t, float>>{{1, 64, 0.5f},
                                                                    {2, 64, 0.9f},
                                                                    {130, 16, 0.99f},
                                                                    {777, 64, 0.8f},
                                                                    {1200, 64, 0.97f},
                                                                    {300, 80, 0.93f},
                                                                    {520, 128, -0.5f},
                                                                    {260, 256, 0.9f}}) {
      result.emplace_back(n, depth, threshold, random);
      result.push_back(result.back());
      result.back().store(random);
    }
    return result;
  }();
  return all;
}

TEST_P(SimilarKeys, EqualASlowSearchWhateverTheShape) {
  int n_found = 0, n_alone = 0;
  for (Search& search : searches()) {
    const auto result = newest(search, 2);
    for (std::int64_t i = 0; i < search.n; ++i) {
      if (search.is_close_call(i)) continue;
      ASSERT_EQ(result[std::size_t(i)], search.expected[std::size_t(i)])
          << "key " << i << " of " << search.n << ", depth " << search.depth << ", threshold "
          << search.threshold << (search.rows.empty() ? "" : ", in a cache");
      (result[std::size_t(i)] == 0 ? n_alone : n_found) += 1;
    }
  }
  EXPECT_GT(n_found, 500);  // both cases occurred
  EXPECT_GT(n_alone, 50);
}

/// Where all numbers of two keys are rounded the same way, by nearly all that BF16 can change, their product
/// changes by twice as much: it is decided in single precision nevertheless.
TEST_P(SimilarKeys, RoundingDecidesNothing) {
  const auto similarity = [&](float share, float threshold) {
    Search search(80, 64, threshold, random_);
    std::fill(search.keys.begin(), search.keys.end(), 0.0f);
    const float x = 0.125f * (1 + share * 0x1p-7f);  // rounded down below one half, up above it
    for (std::int64_t i = 0; i < 2; ++i) {
      for (std::int64_t d = 0; d < 60; ++d) search.key(i)[d] = x;
      search.key(i)[60 + i] = std::sqrt(1 - 60 * x * x);
    }
    for (std::int64_t i = 2; i < 80; ++i) search.key(i)[62] = i % 2 == 0 ? 1.0f : -1.0f;
    search.multiply();
    EXPECT_NEAR(search.product(0, 1), 60 * double(x) * double(x), 1e-6);
    return newest(search)[0];
  };
  // The product is 0.9448; rounded down it is 0.9375, rounded up from 0.9449 it is 0.9522.
  EXPECT_EQ(similarity(0.495f, 0.9447f), 1);
  EXPECT_EQ(similarity(0.505f, 0.9450f), 0);
}

/// Pairs of keys whose product is next to the threshold, nearer than any rounding of keys, on either side.
TEST_P(SimilarKeys, PairsNextToTheThresholdAreToldApart) {
  constexpr double threshold = 0.75;
  for (const std::int64_t depth : {16, 64, 256}) {
    Search search(400, depth, float(threshold), random_);
    for (std::int64_t i = 0; i < search.n; i += 2) {
      // The key i is a, the next one c a + s b, of which a and b are at right angles.
      std::vector<double> a(std::size_t(depth), 0), b(a);
      double aa = 0, ab = 0, bb = 0;
      for (std::size_t d = 0; d < a.size(); ++d) {
        a[d] = random_.real() - 0.5;
        b[d] = random_.real() - 0.5;
        aa += a[d] * a[d];
        ab += a[d] * b[d];
      }
      for (std::size_t d = 0; d < a.size(); ++d) {
        b[d] -= ab / aa * a[d];
        bb += b[d] * b[d];
      }
      const double side = random_.chance(0.5f) ? 1 : -1;
      const double c = threshold + side * std::pow(10.0, -2 - 3 * double(random_.real()));
      for (std::size_t d = 0; d < a.size(); ++d) {
        search.key(i)[d] = float(a[d] / std::sqrt(aa));
        search.key(i + 1)[d] = float(c * a[d] / std::sqrt(aa) + std::sqrt(1 - c * c) * b[d] / std::sqrt(bb));
      }
    }
    search.find();
    const auto result = newest(search);
    int n_found = 0;
    for (std::int64_t i = 0; i < search.n; ++i) {
      if (search.is_close_call(i)) continue;
      ASSERT_EQ(result[std::size_t(i)], search.expected[std::size_t(i)])
          << "key " << i << ", depth " << depth;
      n_found += result[std::size_t(i)] != 0 ? 1 : 0;
    }
    EXPECT_GT(n_found, 100);
  }
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
