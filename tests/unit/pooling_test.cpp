#include "selection/pooling.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace chunkkv {
namespace {

using Values = std::vector<float>;

TEST(Pooling, AverageCountsZerosBeyondTheEnds) {
  EXPECT_EQ(pooled(Values{3, 6, 9, 12}, Pool::average, 3), (Values{3, 6, 9, 7}));
  EXPECT_EQ(pooled(Values{5}, Pool::average, 5), Values{1});
}

TEST(Pooling, MaxSeesOnlyWhatIsThere) {
  EXPECT_EQ(pooled(Values{-1, -5, -3, -4}, Pool::max, 3), (Values{-1, -1, -3, -3}));
  EXPECT_EQ(pooled(Values{-2}, Pool::max, 7), Values{-2});
}

TEST(Pooling, EvenKernelReachesFurtherBack) {
  EXPECT_EQ(pooled(Values{2, 4, 6}, Pool::average, 2), (Values{1, 3, 5}));
  EXPECT_EQ(pooled(Values{2, 4, 6, 0, 0}, Pool::max, 4), (Values{4, 6, 6, 6, 6}));
}

TEST(Pooling, KernelMayExceedTheEntries) {
  EXPECT_EQ(pooled(Values{1, 2}, Pool::average, 255), (Values{3.0f / 255, 3.0f / 255}));
  EXPECT_EQ(pooled(Values{1, 2}, Pool::max, 255), (Values{2, 2}));
}

TEST(Pooling, KernelOneAndNoEntriesChangeNothing) {
  for (const Pool kind : {Pool::average, Pool::max}) {
    EXPECT_EQ(pooled(Values{1, -2, 3}, kind, 1), (Values{1, -2, 3}));
    EXPECT_TRUE(pooled({}, kind, 5).empty());
  }
}

TEST(Lift, ReachesFurtherForward) {
  EXPECT_EQ(lifted(Values{0, 9, 0, 0, 0, 0, 5}, 3, 1), (Values{9, 9, 9, 9, 9, 5, 5}));
  EXPECT_EQ(lifted(Values{-3, -7}, 0, 0), (Values{-3, -7}));
  EXPECT_EQ(lifted(Values{1, 4, 2}, 65536, 2), (Values{4, 4, 4}));
  EXPECT_TRUE(lifted({}, 10, 2).empty());
}

TEST(Lift, IsTheSlowMaximum) {
  test::Random random;
  for (int round = 0; round < 300; ++round) {
    const std::int32_t n = random.integer(1, 60), before = random.integer(0, 20),
                       after = random.integer(0, 20);
    Values values(static_cast<std::size_t>(n));
    for (float& value : values) value = random.real() - 0.5f;
    Values expected;
    for (std::int32_t i = 0; i < n; ++i)
      expected.push_back(*std::max_element(values.begin() + std::max(0, i - before),
                                           values.begin() + std::min(n, i + after + 1)));
    EXPECT_EQ(lifted(values, before, after), expected) << n << " values, " << before << " and " << after;
  }
}

}  // namespace
}  // namespace chunkkv
