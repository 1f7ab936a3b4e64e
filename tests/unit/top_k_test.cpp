#include "selection/top_k.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace chunkkv {
namespace {

template <class Key>
class TopK : public testing::Test {
 protected:
  using Keys = std::vector<Key>;

  /// All indices in order of rank, cut after `k` and sorted.
  static std::vector<std::int32_t> top_by_sorting(const Keys& keys, std::size_t k) {
    std::vector<std::int32_t> ranks(keys.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    std::stable_sort(ranks.begin(), ranks.end(), [&](std::int32_t a, std::int32_t b) {
      return keys[std::size_t(a)] > keys[std::size_t(b)];
    });
    ranks.resize(k);
    std::sort(ranks.begin(), ranks.end());
    return ranks;
  }

  static void expect_top(const Keys& keys) {
    for (std::size_t k = 0; k <= keys.size(); k += 1 + keys.size() / 37)
      ASSERT_EQ(top_k<Key>(keys, std::int32_t(k)), top_by_sorting(keys, k)) << k << " of " << keys.size();
    ASSERT_EQ(top_k<Key>(keys, std::int32_t(keys.size()) + 1).size(), keys.size());
  }

  test::Random random_;
};

using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(TopK, Numbers);

TYPED_TEST(TopK, EqualsSorting) {
  auto& random = this->random_;
  for (int round = 0; round < 40; ++round) {
    typename TestFixture::Keys keys(std::size_t(random.integer(1, 5000)));
    const int levels = random.integer(1, 200);  // few levels: many ties
    const double range = random.integer(0, 1) == 0 ? 1 : 80;
    for (auto& key : keys)
      key = TypeParam(std::exp(range * random.real()) * double(random.integer(-levels / 2, levels)) / levels);
    this->expect_top(keys);
  }
}

TYPED_TEST(TopK, NumbersThatShareTheirLeadingBits) {
  auto& random = this->random_;
  for (int round = 0; round < 10; ++round) {
    typename TestFixture::Keys keys(std::size_t(random.integer(100, 5000)));
    for (auto& key : keys)
      key = random.integer(0, 50) == 0 ? TypeParam(random.real() - 0.5f)
                                       : TypeParam(-0.0001) * (1 + TypeParam(random.real()) / 1000);
    this->expect_top(keys);
  }
}

/// Every eighth key is greater or lower than all others: samples at even distances see only such ones.
TYPED_TEST(TopK, KeysOfWhichASampleTellsNothing) {
  auto& random = this->random_;
  for (const int sign : {-1, 1}) {
    typename TestFixture::Keys keys(2048);
    for (std::size_t i = 0; i < keys.size(); ++i)
      keys[i] = TypeParam(random.real()) + TypeParam(i % 8 == 0 ? 2 * sign : 0);
    this->expect_top(keys);
  }
}

TYPED_TEST(TopK, ZerosOfBothSignsAreEqual) {
  typename TestFixture::Keys keys{0, TypeParam(-0.0), 0, TypeParam(-0.0), 1, -1};
  this->expect_top(keys);
  keys.resize(200, TypeParam(-0.0));
  this->expect_top(keys);
  EXPECT_EQ(top_k<TypeParam>(typename TestFixture::Keys{TypeParam(-0.0), 0, -1}, 1),
            std::vector<std::int32_t>{0});
}

TYPED_TEST(TopK, NumbersOfEverySize) {
  using Limits = std::numeric_limits<TypeParam>;
  constexpr TypeParam one = 1;
  typename TestFixture::Keys keys{Limits::max(),
                                  Limits::lowest(),
                                  Limits::denorm_min(),
                                  -Limits::denorm_min(),
                                  Limits::min(),
                                  0,
                                  one,
                                  std::nextafter(one, TypeParam(2)),
                                  std::nextafter(one, TypeParam(0)),
                                  -one};
  this->expect_top(keys);
  for (int copies = 0; copies < 4; ++copies) keys.insert(keys.end(), keys.begin(), keys.end());
  this->expect_top(keys);
  this->expect_top(typename TestFixture::Keys(100, TypeParam(3.5)));
}

/// Chunks are ranked by two numbers.
using PairTopK = TopK<std::pair<double, double>>;

TEST_F(PairTopK, EqualsSorting) {
  for (int round = 0; round < 10; ++round) {
    Keys keys(std::size_t(random_.integer(1, 5000)));
    for (auto& [first, second] : keys) {
      first = random_.integer(0, 3) / 4.0;
      second = random_.integer(0, 400) / 100.0;
    }
    expect_top(keys);
  }
}

}  // namespace
}  // namespace chunkkv
