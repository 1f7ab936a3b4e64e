#include "selection/pooling.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace chunkkv
