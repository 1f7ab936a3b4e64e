#include "support/redundancy_reference.h"

#include <gtest/gtest.h>

#include <vector>

namespace chunkkv::test {
namespace {

TEST(RedundancyReference, DropsTheLastSimilarEntryOfEachRow) {
  // Cosines: 0-1 is 1, 0-2 and 1-2 are 0.6. Each row loses its last entry above 0.5: rows 0 and 1 lose
  // column 2, row 2 loses column 1.
  const std::vector<float> keys{1, 0, 2, 0, 3, 4};
  const auto means = redundancy_reference(keys, 3, 0.5f);
  ASSERT_EQ(means.size(), 3u);
  EXPECT_NEAR(means[0], (1.0 + 0.6) / 3, 1e-12);
  EXPECT_NEAR(means[1], 1.0 / 3, 1e-12);
  EXPECT_NEAR(means[2], 0.0, 1e-12);
}

TEST(RedundancyReference, RowWithoutASimilarEntryLosesTheFirst) {
  // The same cosines, but only 0 and 1 are similar above 0.7: row 2 has none and loses column 0.
  const std::vector<float> keys{1, 0, 2, 0, 3, 4};
  const auto means = redundancy_reference(keys, 3, 0.7f);
  EXPECT_NEAR(means[0], 0.0, 1e-12);
  EXPECT_NEAR(means[1], 0.6 / 3, 1e-12);
  EXPECT_NEAR(means[2], (0.6 + 0.6) / 3, 1e-12);
}

TEST(RedundancyReference, ZeroKeysResembleNothing) {
  const std::vector<float> keys{0, 0, 1, 0, -1, 0};
  const auto means = redundancy_reference(keys, 3, 0.5f);
  EXPECT_NEAR(means[0], 0.0, 1e-12);
  EXPECT_NEAR(means[1], -1.0 / 3, 1e-12);
  EXPECT_NEAR(means[2], -1.0 / 3, 1e-12);
  EXPECT_TRUE(redundancy_reference({}, 0, 0.5f).empty());
}

}  // namespace
}  // namespace chunkkv::test
