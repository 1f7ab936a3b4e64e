#include <chunkkv/error.h>
#include <chunkkv/metrics.h>

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <set>
#include <vector>

namespace chunkkv {
namespace {

using Indices = std::vector<std::int32_t>;

TEST(Jaccard, SharesOfTheUnion) {
  EXPECT_DOUBLE_EQ(jaccard(Indices{1, 2, 3}, Indices{2, 3, 4}), 0.5);
  EXPECT_DOUBLE_EQ(jaccard(Indices{1, 2}, Indices{3, 4, 5}), 0.0);
  EXPECT_DOUBLE_EQ(jaccard(Indices{0, 7}, Indices{0, 7}), 1.0);
  EXPECT_DOUBLE_EQ(jaccard(Indices{5}, Indices{0, 1, 5, 6}), 0.25);
}

TEST(Jaccard, EmptySets) {
  EXPECT_DOUBLE_EQ(jaccard({}, {}), 1.0);
  EXPECT_DOUBLE_EQ(jaccard(Indices{1}, {}), 0.0);
}

TEST(Jaccard, AgreesWithSetsOnRandomInput) {
  test::Random random;
  for (int round = 0; round < 500; ++round) {
    std::set<std::int32_t> a, b, both;
    for (int i = random.integer(0, 40); i > 0; --i) a.insert(random.integer(0, 60));
    for (int i = random.integer(1, 40); i > 0; --i) b.insert(random.integer(0, 60));
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
    const double expected = double(both.size()) / double(a.size() + b.size() - both.size());
    EXPECT_DOUBLE_EQ(jaccard(Indices(a.begin(), a.end()), Indices(b.begin(), b.end())), expected);
  }
}

TEST(LayerSimilarity, AveragesOverHeads) {
  const std::vector<LayerKept> layers{{0, {{1, 2}, {1, 2}}}, {1, {{1, 2}, {2, 3}}}};
  const double across = (1.0 + 1.0 / 3) / 2;
  EXPECT_EQ(layer_similarity(layers), (std::vector<double>{1, across, across, 1}));
}

TEST(LayerSimilarity, SharedListCountsForEveryHead) {
  const std::vector<LayerKept> layers{{0, {{1, 2}}}, {1, {{1, 2}, {3, 4}}}, {2, {{2, 3}}}};
  const auto matrix = layer_similarity(layers);
  EXPECT_DOUBLE_EQ(matrix[0 * 3 + 1], 0.5);
  EXPECT_DOUBLE_EQ(matrix[0 * 3 + 2], 1.0 / 3);
  EXPECT_DOUBLE_EQ(matrix[1 * 3 + 2], 1.0 / 3);
  EXPECT_DOUBLE_EQ(matrix[2 * 3 + 1], matrix[1 * 3 + 2]);
}

TEST(LayerSimilarity, RefusesHeadsThatDoNotMatch) {
  EXPECT_THROW(layer_similarity(std::vector<LayerKept>{{0, {{1}, {1}}}, {1, {{1}, {1}, {1}}}}), UsageError);
  EXPECT_THROW(layer_similarity(std::vector<LayerKept>{{0, {}}, {1, {{1}}}}), UsageError);
  EXPECT_TRUE(layer_similarity({}).empty());
}

TEST(AdjacentSimilarity, IsTheMeanBesideTheDiagonal) {
  EXPECT_DOUBLE_EQ(adjacent_similarity(std::vector<double>{1, 0.5, 0, 0.5, 1, 0.25, 0, 0.25, 1}, 3), 0.375);
  EXPECT_DOUBLE_EQ(adjacent_similarity(std::vector<double>{1}, 1), 1.0);
  EXPECT_THROW(adjacent_similarity(std::vector<double>{1, 2, 3}, 2), UsageError);
}

}  // namespace
}  // namespace chunkkv
