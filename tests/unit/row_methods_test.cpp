// Methods that read keys and values themselves.
#include "unit/host_rows.h"
#include "unit/method_results.h"
#include "unit/random_seed.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

namespace chunkkv::test {
namespace {

/// An observation of one KV head with the same rows as keys and as values.
LayerObservation with_rows(const Values& numbers, std::int32_t width) {
  LayerObservation o;
  o.n_entries = std::int32_t(numbers.size()) / width;
  o.n_head = o.n_head_kv = 1;
  o.keys = o.values = std::make_shared<test::HostRows>(numbers, 1, width);
  return o;
}

TEST(LagKV, RanksDeviationsBesideTheNextPart) {
  // Parts have two entries. The channels of (1 0) differ in the range of (0 0) and (1 1), those of (0 0) do
  // not; (1 1) becomes (1/2 1) in the range of (0 0) and (2 1). The last part has no next one.
  const LayerObservation o = with_rows({1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 2, 1}, 2);
  expect_near(scores("lagkv:sinks=0,lag=2", o), {0.5f, 0, 0, 0.5f, 1 + 4.0f / 6, 1 + 5.0f / 6});
  EXPECT_EQ(kept("lagkv:sinks=0,lag=2", o, 3), (Lists{{0, 4, 5}}));
  EXPECT_EQ(kept("lagkv:sinks=0,lag=2", o, 4), (Lists{{0, 3, 4, 5}}));
  // With the first entry as a sink, two parts of two and one entry after them are left.
  expect_near(scores("lagkv:sinks=1,lag=2", o), {3, 0, 0.5f, 1 + 3.0f / 6, 1 + 4.0f / 6, 1 + 5.0f / 6});
}

TEST(LagKV, ShortPromptsKeepSinksAndTheNewest) {
  EXPECT_EQ(kept("lagkv:sinks=1", with_rows({5, 1, 3, 2}, 1), 2), (Lists{{0, 3}}));
  EXPECT_EQ(kept("lagkv", with_rows({5, 1}, 1), 1), (Lists{{0}}));
}

TEST(LagKV, AChannelThatDoesNotVaryCountsAsNothing) {
  const LayerObservation o = with_rows({1, 7, 2, 7, 1, 7, 1, 7}, 2);  // the next part varies in no channel
  expect_near(scores("lagkv:sinks=0,lag=2", o), {0, 0.5f, 1.5f, 1.75f});
}

TEST(Leverage, IsHowLittleTheOthersReplaceAKey) {
  // Minus their mean of 1 the keys are -1 -1 -1 3. Squares are divided by 1.001 times their sum of 12.
  const LayerObservation o = with_rows({0, 0, 0, 4}, 1);
  expect_near(scores("leverage", o), {1 / 12.012f, 1 / 12.012f, 1 / 12.012f, 9 / 12.012f});
  EXPECT_EQ(kept("leverage:sinks=0,recent=0", o, 1), (Lists{{3}}));
  EXPECT_EQ(kept("leverage:sinks=1,recent=1", with_rows({0, 9, 0, 0}, 1), 3), (Lists{{0, 1, 3}}));
}

TEST(Leverage, AddsUpToTheNumberOfDirections) {
  test::Random random;
  Values keys;
  for (int i = 0; i < 60 * 5; ++i) keys.push_back(random.real() + float(i % 5));
  const Values leverage = scores("leverage:ridge=0.000001", with_rows(keys, 5));
  EXPECT_NEAR(std::accumulate(leverage.begin(), leverage.end(), 0.0), 5, 1e-3);
  for (const float value : leverage) EXPECT_TRUE(value >= 0 && value <= 1) << value;
}

TEST(Leverage, OfKeysThatAreAllAlikeIsNothing) {
  expect_near(scores("leverage", with_rows({2, 1, 2, 1, 2, 1}, 2)), {0, 0, 0});
}

}  // namespace
}  // namespace chunkkv::test
