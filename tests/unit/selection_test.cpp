#include <chunkkv/error.h>
#include <chunkkv/selection.h>

#include "unit/expect_throw.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace chunkkv {
namespace {

using test::expect_mentions;
using test::message_of;
using Indices = std::vector<std::int32_t>;

Target target(std::int32_t n, std::int32_t budget) {
  return {n, budget, double(budget) / n};
}

Indices select(const std::vector<float>& scores, std::int32_t budget, const SelectionRule& rule) {
  return chunkkv::select(scores, target(std::int32_t(scores.size()), budget), rule);
}

TEST(Selection, KeepsTheBestAscending) {
  EXPECT_EQ(select({1, 9, 3, 7, 5}, 3, {}), (Indices{1, 3, 4}));
  EXPECT_EQ(select({1, 9, 3, 7, 5}, 1, {}), Indices{1});
}

TEST(Selection, TiesGoToTheLowerIndex) {
  EXPECT_EQ(select({2, 5, 2, 5, 2, 2}, 4, {}), (Indices{0, 1, 2, 3}));
  EXPECT_EQ(select({0.0f, -0.0f, 0.0f}, 2, {}), (Indices{0, 1}));
}

TEST(Selection, ProtectedEntriesStayWhateverTheyScore) {
  EXPECT_EQ(select({0, 0, 9, 8, 7, 0}, 4, {.first = 2, .last = 1}), (Indices{0, 1, 2, 5}));
  EXPECT_EQ(select({0, 0, 9, 8, 7, 0}, 3, {.first = 2, .last = 1}), (Indices{0, 1, 5}));
}

TEST(Selection, ExactCutsTheLastChunkToItsFirstEntries) {
  // Chunks 0-2, 3-5, 6-8 sum to 6, 9, 3: the second is whole, the first gives 2 of 3.
  EXPECT_EQ(select({2, 2, 2, 3, 3, 3, 1, 1, 1}, 5, {.chunk = 3}), (Indices{0, 1, 3, 4, 5}));
}

TEST(Selection, ExactFillsUpBehindAShortLastChunk) {
  // Chunks 0-2, 3-5 and the short 6: the short one is best, so the budget reaches into a third.
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 9}, 4, {.chunk = 3}), (Indices{3, 4, 5, 6}));
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 9}, 5, {.chunk = 3}), (Indices{0, 3, 4, 5, 6}));
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 9}, 6, {.chunk = 3}), (Indices{0, 1, 3, 4, 5, 6}));
}

TEST(Selection, ExactCutsTheLaterOfEqualChunks) {
  EXPECT_EQ(select({1, 1, 1, 1, 1, 1}, 3, {.chunk = 2}), (Indices{0, 1, 2}));
}

TEST(Selection, SumAndMeanDifferInTheShortLastChunk) {
  const std::vector<float> scores{2, 2, 2, 3};
  EXPECT_EQ(select(scores, 3, {.chunk = 3, .chunk_score = ChunkScore::sum}), (Indices{0, 1, 2}));
  EXPECT_EQ(select(scores, 3, {.chunk = 3, .chunk_score = ChunkScore::mean}), (Indices{0, 1, 3}));
}

TEST(Selection, ChunkLargerThanThePromptIsCut) {
  EXPECT_EQ(select({1, 2, 3, 4}, 2, {.chunk = 100}), (Indices{0, 1}));
  EXPECT_EQ(select({1, 2, 3, 4}, 3, {.last = 1, .chunk = std::numeric_limits<std::int32_t>::max()}),
            (Indices{0, 1, 3}));
}

TEST(Selection, PaperTakesWholeChunksOfWhatIsNotProtected) {
  // Chunks 0-2, 3-5 and the short 6 are not protected, the window 7-8 is. (6 - 2) / 3 = 1 chunk fits.
  const SelectionRule rule{.last = 2, .chunk = 3, .rule = ChunkRule::paper};
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 0, 0, 0}, 6, rule), (Indices{3, 4, 5, 7, 8}));
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 0, 0, 0}, 4, rule), (Indices{7, 8}));
  EXPECT_EQ(select({1, 1, 1, 2, 2, 2, 9, 0, 0}, 8, rule), (Indices{3, 4, 5, 6, 7, 8}));
}

TEST(Selection, PaperGridStartsBehindTheProtectedBeginning) {
  const SelectionRule rule{.first = 1, .chunk = 2, .rule = ChunkRule::paper};
  EXPECT_EQ(select({0, 1, 1, 5, 0, 2, 2}, 3, rule), (Indices{0, 3, 4}));
}

TEST(Selection, PaperWithoutRoomForAChunkSaysSo) {
  const SelectionRule rule{.chunk = 4, .rule = ChunkRule::paper};
  const auto message = message_of<UsageError>([&] { select({1, 2, 3, 4, 5, 6}, 3, rule); });
  expect_mentions(message, {"budget of 3", "chunk of 4"});
}

TEST(Selection, KvpressRanksChunksOfProtectedEntriesFirst) {
  // Chunks are 0-2, 3-5, 6-8 and the short 9; the last two entries lie in the last two. Half of the 4 stay.
  const SelectionRule rule{.last = 2, .chunk = 3, .rule = ChunkRule::kvpress};
  EXPECT_EQ(select({9, 9, 9, 1, 1, 1, 0, 0, 0, 0}, 5, rule), (Indices{6, 7, 8, 9}));
  EXPECT_EQ(select({1, 1, 1, 9, 9, 9, 0, 0, 0, 0}, 8, rule), (Indices{3, 4, 5, 6, 7, 8, 9}));
}

TEST(Selection, KvpressKeepsAtLeastOneChunk) {
  EXPECT_EQ(select({1, 1, 2, 2, 0, 0}, 1, {.chunk = 2, .rule = ChunkRule::kvpress}), (Indices{2, 3}));
}

TEST(Selection, KvpressWithoutRoomForTheProtectedSaysSo) {
  const SelectionRule rule{.last = 4, .chunk = 3, .rule = ChunkRule::kvpress};
  const auto message = message_of<UsageError>([&] { select({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 5, rule); });
  expect_mentions(message, {"1 of 4 chunks", "lie in 2", "50.0%"});
}

TEST(Selection, FullBudgetKeepsEverythingUnderAnyRule) {
  for (const ChunkRule kind : {ChunkRule::exact, ChunkRule::paper, ChunkRule::kvpress})
    EXPECT_EQ(select({1, 2, 3, 4, 5}, 5, {.first = 3, .last = 9, .chunk = 3, .rule = kind}),
              (Indices{0, 1, 2, 3, 4}));
}

TEST(Selection, ProtectedEntriesThatDoNotFitAreRefused) {
  const auto message =
      message_of<UsageError>([&] { select(std::vector<float>(100), 9, {.first = 4, .last = 8}); });
  expect_mentions(message, {"budget of 9", "12", "first 4", "last 8", "100"});
  EXPECT_THROW(select({1, 2, 3}, 2, {.last = 32}), UsageError);
}

TEST(Selection, ScoresThatAreNotFiniteAreAnError) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    const auto message = message_of<Error>([&] { select({1, 2, bad, 4}, 2, {}); });
    expect_mentions(message, {"token 2"});
    EXPECT_THROW(select({bad}, 1, {}), Error);
  }
}

TEST(Selection, RefusesTargetsAndRulesThatMakeNoSense) {
  const std::vector<float> scores{1, 2, 3};
  EXPECT_THROW(select(scores, 0, {}), UsageError);
  EXPECT_THROW(select(scores, 4, {}), UsageError);
  EXPECT_THROW(select({}, 0, {}), UsageError);
  EXPECT_THROW(select(scores, 2, {.first = -1}), UsageError);
  EXPECT_THROW(select(scores, 2, {.chunk = 0}), UsageError);
  EXPECT_THROW(chunkkv::select(scores, {3, 2, 1.5}, {}), UsageError);
  EXPECT_THROW(chunkkv::select(scores, target(4, 2), {}), Error);
}

TEST(Selection, LayerHasOneListAHead) {
  const Scores scores{2, 3, {1, 2, 3, 3, 2, 1}};
  const LayerKept expected{7, {{1, 2}, {0, 1}}};
  EXPECT_EQ(select_layer(7, scores, target(3, 2), {}), expected);
  EXPECT_THROW(select_layer(0, {2, 3, {1, 2, 3}}, target(3, 2), {}), Error);
}

TEST(Equalize, FillsShorterListsWithTheNewestTheyLack) {
  std::vector<LayerKept> layers{{0, {{0, 2, 4, 5}}}, {1, {{0, 5}, {4, 5}}}, {2, {{}}}};
  equalize(layers, 6);
  const std::vector<LayerKept> expected{
      {0, {{0, 2, 4, 5}}}, {1, {{0, 3, 4, 5}, {2, 3, 4, 5}}}, {2, {{2, 3, 4, 5}}}};
  EXPECT_EQ(layers, expected);
}

TEST(Equalize, LeavesEqualLengthsAlone) {
  std::vector<LayerKept> layers{{0, {{0, 1}}}, {1, {{3, 4}}}};
  const auto before = layers;
  equalize(layers, 6);
  EXPECT_EQ(layers, before);
}

}  // namespace
}  // namespace chunkkv
