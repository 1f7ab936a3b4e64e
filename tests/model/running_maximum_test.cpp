#include "session/running_maximum.h"

#include <gtest/gtest.h>

namespace chunkkv {
namespace {

TEST(RunningMaximum, AnEntryCountsWithItsHighestShareSoFar) {
  AttentionHistory highest;
  Scores first{2, 4, {1, 3, 0, 4, 2, 2, 2, 2}};  // each head sums to 8
  raise_to_running_maximum(highest, first, 7, 1);
  EXPECT_EQ(first.values, (std::vector<float>{0.125f, 0.375f, 0, 0.5f, 0.25f, 0.25f, 0.25f, 0.25f}));

  // Entries 1 and 3 are kept, one is new.
  std::vector<LayerKept> kept(8);
  kept[7] = {7, {{1, 3}}};
  highest.keep(kept);
  Scores second{2, 3, {1, 7, 2, 0, 5, 5}};
  raise_to_running_maximum(highest, second, 7, 1);
  EXPECT_EQ(second.values, (std::vector<float>{0.375f, 0.7f, 0.2f, 0.25f, 0.5f, 0.5f}));
  Scores other_layer{1, 2, {1, 3}};
  raise_to_running_maximum(highest, other_layer, 3, 1);
  EXPECT_EQ(other_layer.values, (std::vector<float>{0.25f, 0.75f}));
}

TEST(RunningMaximum, ASpanHasTheScoreOfItsBestEntry) {
  AttentionHistory highest;
  Scores scores{1, 6, {0, 0, 8, 0, 0, 2}};
  raise_to_running_maximum(highest, scores, 0, 3);
  EXPECT_EQ(scores.values, (std::vector<float>{0, 0.8f, 0.8f, 0.8f, 0.2f, 0.2f}));
  Scores nothing{1, 2, {0, 0}};
  raise_to_running_maximum(highest, nothing, 1, 3);
  EXPECT_EQ(nothing.values, (std::vector<float>{0, 0}));
}

TEST(RunningMaximum, SpansAreOddAndFewEntriesOfABudget) {
  EXPECT_EQ(span_for(10), 1);
  EXPECT_EQ(span_for(64), 5);
  EXPECT_EQ(span_for(400), 25);
  EXPECT_EQ(span_for(1024), 31);
  EXPECT_EQ(span_for(100000), 31);
}

}  // namespace
}  // namespace chunkkv
