#include <chunkkv/budget.h>
#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include "unit/expect_throw.h"
#include "unit/method_results.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace chunkkv {
namespace {

using namespace test;

/// Four query heads, two KV heads, six tokens; attention of the last two queries by query head.
LayerObservation six_tokens() {
  LayerObservation o;
  o.n_entries = 6;
  o.n_head = 4;
  o.n_head_kv = 2;
  o.n_queries = 2;
  o.attention = {8, 0, 0, 4, 0, 4,  //
                 0, 0, 8, 4, 0, 4,  //
                 0, 4, 4, 0, 8, 0,  //
                 0, 8, 0, 0, 4, 4};
  o.value_norms = {1, 1,   0.5, 4, 1, 1,  //
                   1, 0.5, 2,   1, 1, 1};
  return o;
}

TEST(Full, KeepsAllAndObservesNothing) {
  const auto method = make_method("full");
  EXPECT_TRUE(method->keeps_all());
  EXPECT_EQ(method->request(), ObservationRequest());
  EXPECT_EQ(kept("full", six_tokens(), 6), (Lists{{0, 1, 2, 3, 4, 5}}));
}

TEST(RandomMethod, SeedAndLayerChangeTheDraw) {
  LayerObservation o;
  o.n_entries = 1000;
  const auto draw = kept("random", o, 100);
  EXPECT_EQ(draw, kept("random:seed=0", o, 100));
  EXPECT_NE(draw, kept("random:seed=1", o, 100));
  o.layer = 1;
  EXPECT_NE(draw, kept("random", o, 100));
  EXPECT_EQ(make_method("random")->request(), ObservationRequest());
}

TEST(RandomMethod, IsSpreadEvenly) {
  // 200 layers keep 10 of 100 tokens: each token 20 times on average, with a deviation of about 4.
  std::vector<int> counts(100);
  LayerObservation o;
  o.n_entries = 100;
  for (o.layer = 0; o.layer < 200; ++o.layer) {
    const auto lists = kept("random", o, 10);
    for (const auto i : lists.front()) ++counts[std::size_t(i)];
  }
  for (const int count : counts) {
    EXPECT_GT(count, 0);
    EXPECT_LT(count, 45);
  }
}

TEST(RandomMethod, KeepsChunksTogether) {
  LayerObservation o;
  o.n_entries = 100;
  const auto list = kept("random:chunk=10", o, 30).front();
  ASSERT_EQ(list.size(), 30u);
  std::set<std::int32_t> chunks;
  for (const auto i : list) chunks.insert(i / 10);
  EXPECT_EQ(chunks.size(), 3u);
}

TEST(StreamingLLM, KeepsSinksAndTheMostRecent) {
  LayerObservation o;
  o.n_entries = 10;
  EXPECT_EQ(kept("streamingllm", o, 6), (Lists{{0, 1, 2, 3, 8, 9}}));
  EXPECT_EQ(kept("streamingllm:sinks=1", o, 3), (Lists{{0, 8, 9}}));
  EXPECT_EQ(kept("streamingllm:sinks=0", o, 3), (Lists{{7, 8, 9}}));
  EXPECT_EQ(kept("streamingllm", o, 4), (Lists{{0, 1, 2, 3}}));
  EXPECT_THROW(kept("streamingllm", o, 3), UsageError);
  EXPECT_EQ(make_method("streamingllm")->request(), ObservationRequest());
}

TEST(StreamingLLM, MakesRoomForAProtectedBeginning) {
  LayerObservation o;
  o.n_entries = 10;
  const auto method = make_method("streamingllm");
  const Target target{10, 7, 0.7};
  SelectionRule rule = method->rule(target);
  rule.first = std::max(rule.first, 5);
  EXPECT_EQ(select_layer(0, method->score(o), target, rule).heads, (Lists{{0, 1, 2, 3, 4, 8, 9}}));
}

TEST(Tova, TakesTheMeanOfAllHeadsAndKeepsTheLastToken) {
  LayerObservation o = six_tokens();
  o.n_queries = 1;
  expect_near(scores("tova", o), {2, 3, 3, 2, 3, 3});
  EXPECT_EQ(kept("tova", o, 3), (Lists{{1, 2, 5}}));
  // The KV heads' means, (4 0 4 4 0 4) and (0 6 2 0 6 2), are multiplied by the norms, then averaged.
  expect_near(scores("tova:vnorm=1", o), {2, 1.5, 3, 8, 3, 3});
  EXPECT_EQ(kept("tova:vnorm=1", o, 3), (Lists{{2, 3, 5}}));

  const auto request = make_method("tova")->request();
  EXPECT_EQ(request.queries, Queries::window);
  EXPECT_EQ(request.window, 1);
  EXPECT_FALSE(request.value_norms);
  EXPECT_TRUE(make_method("tova:vnorm=1")->request().value_norms);
}

TEST(H2O, KeepsHeavyHittersAndTheRecentHalf) {
  const LayerObservation o = six_tokens();
  expect_near(scores("h2o", o), {4, 0, 4, 4, 0, 4, 0, 6, 2, 0, 6, 2});
  EXPECT_EQ(kept("h2o", o, 4), (Lists{{0, 2, 4, 5}, {1, 2, 4, 5}}));
  EXPECT_EQ(kept("h2o", o, 3), (Lists{{0, 2, 5}, {1, 4, 5}}));
  EXPECT_EQ(kept("h2o", o, 1), (Lists{{0}, {1}}));
  EXPECT_EQ(kept("h2o:recent=0", o, 2), (Lists{{0, 2}, {1, 4}}));
  EXPECT_EQ(kept("h2o:recent=1", o, 2), (Lists{{4, 5}, {4, 5}}));
  EXPECT_EQ(kept("h2o:recent=0,vnorm=1", o, 2), (Lists{{0, 3}, {2, 4}}));
  EXPECT_EQ(make_method("h2o")->request().queries, Queries::all);
  EXPECT_EQ(make_method("h2o")->request().stride, 1);
  EXPECT_EQ(make_method("h2o:stride=8")->request().stride, 8);
}

TEST(SnapKV, GroupsQueryHeads) {
  const LayerObservation o = six_tokens();
  expect_near(scores("snapkv:window=2,kernel=1", o), {2, 0, 2, 2, 0, 2, 0, 3, 1, 0, 3, 1});
  expect_near(scores("snapkv:window=2,kernel=1,group=sum", o), {4, 0, 4, 4, 0, 4, 0, 6, 2, 0, 6, 2});
  expect_near(scores("snapkv:window=2,kernel=1,group=max", o), {4, 0, 4, 2, 0, 2, 0, 4, 2, 0, 4, 2});
}

TEST(SnapKV, PoolsBeforeTheWindowOnly) {
  const LayerObservation o = six_tokens();
  expect_near(scores("snapkv:window=2,kernel=3", o),
              {2.0f / 3, 4.0f / 3, 4.0f / 3, 4.0f / 3, 0, 2, 1, 4.0f / 3, 4.0f / 3, 1.0f / 3, 3, 1});
  expect_near(scores("snapkv:window=2,kernel=3,pool=max", o), {2, 2, 2, 2, 0, 2, 3, 3, 3, 1, 3, 1});
}

TEST(SnapKV, WeighsByValueNormsBeforePooling) {
  const LayerObservation o = six_tokens();
  expect_near(scores("snapkv:window=2,kernel=1,vnorm=1", o), {2, 0, 1, 8, 0, 2, 0, 1.5, 2, 0, 3, 1});
  expect_near(scores("snapkv:window=2,kernel=3,pool=max,vnorm=1", o), {2, 2, 8, 8, 0, 2, 1.5, 2, 2, 2, 3, 1});
}

TEST(SnapKV, KeepsTheWindowAndTheBestPerHead) {
  const LayerObservation o = six_tokens();
  EXPECT_EQ(kept("snapkv:window=2,kernel=1", o, 4), (Lists{{0, 2, 4, 5}, {1, 2, 4, 5}}));
  EXPECT_EQ(kept("snapkv:window=2,kernel=1", o, 2), (Lists{{4, 5}, {4, 5}}));
  EXPECT_THROW(kept("snapkv:window=2", o, 1), UsageError);
  EXPECT_EQ(make_method("snapkv")->request().window, 32);
}

TEST(ChunkKV, SumsAttentionOfAllHeads) {
  const LayerObservation o = six_tokens();
  expect_near(scores("chunkkv:window=2", o), {8, 12, 12, 8, 12, 12});
  expect_near(scores("chunkkv:window=2,vnorm=1", o), {8, 6, 12, 32, 12, 12});
  expect_near(scores("chunkkv:window=2,kernel=3", o), {20.0f / 3, 32.0f / 3, 32.0f / 3, 20.0f / 3, 12, 12});
  expect_near(scores("chunkkv:window=2,rule=kvpress", o), {2, 3, 3, 2, 3, 3});
}

TEST(ChunkKV, PoolsPerHeadBeforeItSums) {
  // Head maxima over 3 tokens: (8 8 8 8) and (12 12 12 4); pooling the sum (8 12 12 8) would give 12s.
  expect_near(scores("chunkkv:window=2,kernel=3,pool=max", six_tokens()), {20, 20, 20, 12, 12, 12});
}

TEST(ChunkKV, RulesRoundTheBudgetDifferently) {
  LayerObservation o;
  o.n_entries = 11;
  o.n_head = o.n_head_kv = 1;
  o.n_queries = 2;
  o.attention = {1, 1, 1, 3, 3, 3, 2, 2, 2, 5, 5};
  // Entries 0-8 are not protected, three chunks of 3; the window is 9-10.
  EXPECT_EQ(kept("chunkkv:chunk=3,window=2", o, 6), (Lists{{3, 4, 5, 9, 10}}));
  EXPECT_EQ(kept("chunkkv:chunk=3,window=2,rule=exact", o, 6), (Lists{{3, 4, 5, 6, 9, 10}}));
  // The chunks are 0-2, 3-5, 6-8, 9-10; floor(4 * 6 / 11) = 2 of them stay.
  EXPECT_EQ(kept("chunkkv:chunk=3,window=2,rule=kvpress", o, 6), (Lists{{3, 4, 5, 9, 10}}));
}

TEST(ChunkKV, DefaultsAreThePapers) {
  const auto method = make_method("chunkkv");
  const auto rule = method->rule({1000, 100, 0.1});
  EXPECT_EQ(rule.chunk, 10);
  EXPECT_EQ(rule.last, 32);
  EXPECT_EQ(rule.first, 0);
  EXPECT_EQ(rule.rule, ChunkRule::paper);
  EXPECT_EQ(rule.chunk_score, ChunkScore::sum);
  EXPECT_EQ(method->request().window, 32);
  EXPECT_EQ(method->reuse(), 1);
  EXPECT_EQ(make_method("chunkkv:reuse=2")->reuse(), 2);
  EXPECT_EQ(make_method("chunkkv:score=mean")->rule({1000, 100, 0.1}).chunk_score, ChunkScore::mean);
}

/// One KV head, four tokens. Attention is as R-KV asks for it: 0 for the entries of the window.
LayerObservation four_keys() {
  LayerObservation o;
  o.n_entries = 4;
  o.n_head = 2;
  o.n_head_kv = 1;
  o.n_queries = 2;
  o.attention = {0.4f, 1.6f, 0, 0};
  o.redundancy = {0, float(std::log(2.0)), 0, 0};
  o.value_norms = {4, 1, 1, 2};
  return o;
}

TEST(RKV, WeighsImportanceAgainstRedundancy) {
  const LayerObservation o = four_keys();
  // Importance is 0.2 0.8 0 0, redundancy 1/5 2/5 1/5 1/5.
  expect_near(scores("rkv:lambda=0.5,window=2,kernel=1", o), {0, 0.2f, -0.1f, -0.1f});
  expect_near(scores("rkv:lambda=0.1,window=2,kernel=1", o), {0.02f - 0.18f, 0.08f - 0.36f, -0.18f, -0.18f});
  EXPECT_EQ(kept("rkv:lambda=0.5,window=2,kernel=1", o, 3), (Lists{{1, 2, 3}}));
  EXPECT_EQ(kept("rkv:lambda=0.1,window=2,kernel=1", o, 3), (Lists{{0, 2, 3}}));
}

TEST(RKV, PoolsImportanceByMaximum) {
  expect_near(scores("rkv:lambda=1,window=2,kernel=3", four_keys()), {0.8f, 0.8f, 0, 0});
}

TEST(RKV, ValueNormsAreRelativeToTheirMean) {
  expect_near(scores("rkv:lambda=1,window=2,kernel=1,vnorm=1", four_keys()), {0.4f, 0.4f, 0, 0});
  LayerObservation o = four_keys();
  o.value_norms = {0, 0, 0, 0};
  expect_near(scores("rkv:lambda=1,window=2,kernel=1,vnorm=1", o), {0, 0, 0, 0});
}

TEST(RKV, AsksForItsOwnAttentionAndRedundancy) {
  const auto request = make_method("rkv:threshold=0.75")->request();
  EXPECT_EQ(request.attention, AttentionKind::group_max_past);
  EXPECT_EQ(request.window, 8);
  EXPECT_EQ(request.redundancy_threshold, 0.75f);
}

/// One KV head of two query heads, eight tokens, the last two of which are the window.
LayerObservation eight_tokens() {
  LayerObservation o;
  o.n_entries = 8;
  o.n_head = 2;
  o.n_head_kv = 1;
  o.n_queries = 2;
  o.attention = {2, 0, 0, 4, 2, 0, 0, 0,  //
                 0, 0, 4, 0, 2, 4, 0, 0};
  o.value_norms = {1, 1, 1, 2, 3, 1, 1, 1};
  o.key_similarity = {0, 0.5f, 1, 0, 0.5f, -1, 0, 0};
  return o;
}

TEST(Hybrid, AddsThreeScoresOfEqualTotals) {
  const LayerObservation o = eight_tokens();
  const std::string window = "hybrid:window=2,recent=2,reach=1,";
  // Mean attention 1 0 2 2 2 2 times the value norms is 1 0 2 4 6 2. Without sinks and window the total is 8.
  const Values own = {0.125f, 0, 0.25f, 0.5f, 0.75f, 0.25f, 0, 0};
  expect_near(scores(window + "spread=0,diversity=0", o), own);
  // The highest score of one token before, itself and two after, but for the window: 2 4 6 6 6 6; total 12.
  const Values lift = {1.0f / 6, 1.0f / 3, 0.5f, 0.5f, 0.5f, 0.5f, 0, 0};
  // 1 - cosine, times the value norms, is 1 0.5 0 2 1.5 2 1 1; total 3.5.
  const Values unlike = {2.0f / 7, 1.0f / 7, 0, 4.0f / 7, 3.0f / 7, 4.0f / 7, 2.0f / 7, 2.0f / 7};
  Values sum(8);
  for (std::size_t i = 0; i < 8; ++i) sum[i] = own[i] + 0.5f * lift[i] + 2 * unlike[i];
  expect_near(scores(window + "spread=0.5,diversity=2", o), sum);
  // Without value norms these are 1 0 2 2 2 2 and 1 0.5 0 1 0.5 2, with totals 4 and 2.5.
  expect_near(scores(window + "spread=0,diversity=1,vnorm=0", o),
              {0.65f, 0.2f, 0.5f, 0.9f, 0.7f, 1.3f, 0.4f, 0.4f});
}

TEST(Hybrid, KeepsTheRecentAndTheBest) {
  const LayerObservation o = eight_tokens();
  EXPECT_EQ(kept("hybrid:window=1,recent=2,spread=0,diversity=0", o, 4), (Lists{{3, 4, 6, 7}}));
  EXPECT_EQ(make_method("hybrid")->rule({1000, 100, 0.1}).last, 32);
  EXPECT_EQ(make_method("hybrid:recent=4")->rule({1000, 100, 0.1}).last, 16);
  const auto request = make_method("hybrid")->request();
  EXPECT_EQ(request.window, 16);
  EXPECT_TRUE(request.value_norms);
  EXPECT_TRUE(request.key_similarity);
  EXPECT_FALSE(make_method("hybrid:diversity=0")->request().key_similarity);
}

TEST(Hybrid, ReadsAllQueriesWhereTheQuestionIsNotKnown) {
  const auto method = make_method("hybrid:queries=all");
  const auto request = method->request();
  EXPECT_EQ(request.queries, Queries::all);
  EXPECT_EQ(request.stride, 16);
  EXPECT_EQ(request.after, 0);
  EXPECT_EQ(method->rule({1000, 100, 0.1}).last, 32);
  EXPECT_EQ(make_method("hybrid:queries=all,recent=0")->rule({1000, 100, 0.1}).last, 0);
  // The defaults are spread=0 and diversity=1. With recent=0 the totals are of tokens 4 .. 7: 8 and 5.5.
  const LayerObservation o = eight_tokens();
  Values expected;
  const Values own = {1, 0, 2, 4, 6, 2, 0, 0}, unlike = {1, 0.5f, 0, 2, 1.5f, 2, 1, 1};
  for (std::size_t i = 0; i < 8; ++i) expected.push_back(own[i] / 8 + unlike[i] / 5.5f);
  expect_near(scores("hybrid:queries=all,recent=0", o), expected);
}

TEST(Hybrid, NothingToShareOutIsNoScore) {
  LayerObservation o = eight_tokens();
  o.attention.assign(16, 0);
  o.value_norms.assign(8, 0);
  expect_near(scores("hybrid:window=2,recent=2", o), Values(8));
}

TEST(Spread, AddsWhatIsJustBeforeAtTheSameTotal) {
  // After 4 sinks and before a window of 1, a head's total is the score of its fifth token: 0 and 3. SnapKV's
  // scores lifted by one token are 2 2 2 2 2, total 2, and 3 3 3 3 3, total 3.
  const LayerObservation o = six_tokens();
  expect_near(scores("snapkv:window=1,kernel=1,spread=2,reach=1", o), {2, 0, 2, 2, 0, 2, 6, 9, 7, 6, 9, 1});
  expect_near(scores("snapkv:window=1,kernel=1,spread=0,reach=1", o), scores("snapkv:window=1,kernel=1", o));
  // ChunkKV lifts the sum over all heads and TOVA the mean. R-KV asks for the same with and without a spread.
  expect_near(scores("chunkkv:window=1,spread=2,reach=1", o), {32, 36, 36, 32, 36, 12});
  expect_near(scores("tova:spread=2,reach=1", o), {8, 9, 9, 8, 9, 3});
  EXPECT_EQ(make_method("rkv:spread=0.5")->request(), make_method("rkv")->request());
}

TEST(KeyMethods, PreferUnusualAndShortKeys) {
  LayerObservation o;
  o.n_entries = 3;
  o.n_head = 4;
  o.n_head_kv = 2;
  o.key_similarity = {0.9f, -0.2f, 0.1f, 0.3f, 0.4f, 0.5f};
  o.key_norms = {3, 2, 1, 5, 9, 7};
  EXPECT_EQ(kept("keydiff", o, 2), (Lists{{1, 2}, {0, 1}}));
  EXPECT_EQ(kept("knorm", o, 1), (Lists{{2}, {0}}));
  EXPECT_TRUE(make_method("keydiff")->request().key_similarity);
  EXPECT_TRUE(make_method("knorm")->request().key_norms);
  EXPECT_EQ(make_method("knorm")->request().queries, Queries::none);
}

TEST(PyramidKV, FallsLinearlyAroundTheSameMean) {
  const auto method = make_method("pyramidkv:window=10,beta=20");
  ASSERT_TRUE(method->layer_budgets());
  const auto budgets = [&](std::int32_t n_entries, std::int32_t budget, std::int32_t n_layer) {
    std::vector<std::int32_t> all;
    for (std::int32_t layer = 0; layer < n_layer; ++layer)
      all.push_back(method->layer_budget({n_entries, budget, 0.1}, layer, n_layer));
    return all;
  };
  // b = 100: max = 2 * 100 - 5 = 195, min = 5, steps of 47.5.
  EXPECT_EQ(budgets(1000, 110, 5), (std::vector<std::int32_t>{205, 157, 110, 62, 15}));
  // Only 150 tokens before the window: max = 150, min = 50.
  EXPECT_EQ(budgets(160, 110, 5), (std::vector<std::int32_t>{160, 135, 110, 85, 60}));
  EXPECT_EQ(budgets(1000, 10, 3), (std::vector<std::int32_t>{10, 10, 10}));  // the window alone
  EXPECT_EQ(budgets(1000, 110, 1), (std::vector<std::int32_t>{110}));
  for (const std::int32_t n_layer : {2, 24, 80}) {
    const auto all = budgets(100000, 10000, n_layer);
    EXPECT_NEAR(std::accumulate(all.begin(), all.end(), 0.0) / n_layer, 10000, 1);
    EXPECT_TRUE(std::is_sorted(all.rbegin(), all.rend()));
  }
}

TEST(Methods, PromptShorterThanTheWindowCanOnlyBeKept) {
  const LayerObservation o = six_tokens();
  for (const char* spec : {"snapkv", "chunkkv", "chunkkv:rule=exact", "chunkkv:rule=kvpress"}) {
    EXPECT_EQ(kept(spec, o, 6).front(), (Indices{0, 1, 2, 3, 4, 5})) << spec;
    EXPECT_THROW(kept(spec, o, 5), UsageError) << spec;
  }
}

TEST(Methods, MissingObservationsAreNamed) {
  LayerObservation o = six_tokens();
  o.layer = 9;
  o.value_norms.clear();
  const auto message = test::message_of<Error>([&] { scores("snapkv:vnorm=1", o); });
  test::expect_mentions(message, {"layer 9", "value norms", "2 heads and 6 tokens"});
}

}  // namespace
}  // namespace chunkkv
