#include "selection/top_k.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace chunkkv {
namespace {

using Doubles = std::vector<double>;

/// All indices in order of rank, cut after `k` and sorted.
std::vector<std::int32_t> top_by_sorting(const Doubles& keys, std::size_t k) {
  std::vector<std::int32_t> ranks(keys.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  std::stable_sort(ranks.begin(), ranks.end(), [&](std::int32_t a, std::int32_t b) {
    return keys[std::size_t(a)] > keys[std::size_t(b)];
  });
  ranks.resize(k);
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

void expect_top(const Doubles& keys) {
  for (std::size_t k = 0; k <= keys.size(); k += 1 + keys.size() / 37)
    ASSERT_EQ(top_k<double>(keys, std::int32_t(k)), top_by_sorting(keys, k)) << k << " of " << keys.size();
  ASSERT_EQ(top_k<double>(keys, std::int32_t(keys.size()) + 1).size(), keys.size());
}

TEST(TopK, EqualsSorting) {
  test::Random random;
  for (int round = 0; round < 40; ++round) {
    Doubles keys(std::size_t(random.integer(1, 3000)));
    const int levels = random.integer(1, 200);  // few levels: many ties
    const double range = random.integer(0, 1) == 0 ? 1 : 200;
    for (double& key : keys)
      key = std::exp(range * random.real()) * double(random.integer(-levels / 2, levels)) / levels;
    expect_top(keys);
  }
}

TEST(TopK, ZerosOfBothSignsAreEqual) {
  expect_top({0.0, -0.0, 0.0, -0.0, 1.0, -1.0});
  EXPECT_EQ(top_k<double>(Doubles{-0.0, 0.0, -1.0}, 1), std::vector<std::int32_t>{0});
}

TEST(TopK, NumbersOfEverySize) {
  using Limits = std::numeric_limits<double>;
  expect_top({Limits::max(), Limits::lowest(), Limits::denorm_min(), -Limits::denorm_min(), Limits::min(), 0,
              1, std::nextafter(1.0, 2.0), std::nextafter(1.0, 0.0), -1});
  expect_top(Doubles(100, 3.5));
}

}  // namespace
}  // namespace chunkkv
