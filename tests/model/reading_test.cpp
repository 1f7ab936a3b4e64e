// Prompts longer than the cache: compared with one-shot compression, and checked for what must always hold.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/small_cache.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace chunkkv::test {
namespace {

const char* const kSpecs[] = {"chunkkv:window=16",
                              "chunkkv:window=16,reuse=2",
                              "chunkkv:window=16,rule=exact,vnorm=1",
                              "chunkkv:window=16,rule=kvpress",
                              "snapkv:window=16",
                              "h2o",
                              "h2o:stride=7",
                              "hybrid:queries=all,recent=16",
                              "hybrid:window=16,after=0",
                              "tova",
                              "rkv:window=8",
                              "streamingllm",
                              "keydiff",
                              "knorm",
                              "random"};

class ReadingMethods : public testing::TestWithParam<const char*> {};

TEST_P(ReadingMethods, OnePieceEqualsOneShotCompression) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 300);
  const Plan plan{make_method(GetParam()), Budget::parse("30%")};
  Session whole(tiny(), cells(512)), pieces(tiny(), cells(512));
  whole.sequence().prefill(tokens, {&plan, 1});
  const auto expected = whole.sequence().selection().layers;
  whole.sequence().compress(whole.sequence().selection());
  EXPECT_EQ(pieces.sequence().read(tokens, {.plan = plan, .n_question = 20}), 1);
  EXPECT_EQ(pieces.sequence().selection().layers, expected);
  EXPECT_EQ(copy(pieces.logits()), copy(whole.logits()));
  EXPECT_EQ(copy(pieces.sequence().decode(7)), copy(whole.sequence().decode(7)));
}

// Whatever is kept, no more cells are used than allowed, positions are true, beginning and window stay.
TEST_P(ReadingMethods, ManyPiecesKeepWhatTheyPromise) {
  const auto seed = random_seed();
  SCOPED_TRACE(testing::Message() << "CHUNKKV_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  const std::int32_t n = 900 + std::int32_t(random() % 500);
  const auto tokens = random_tokens(random, n);
  const auto method = make_method(GetParam());
  for (const auto observer : {ObserverKind::question, ObserverKind::window, ObserverKind::both}) {
    SessionOptions options = cells(512);
    options.n_sequences = 2;
    Session session(tiny(), options);
    const auto others = random_tokens(random, 40);
    session.sequence(1).prefill(others);
    const auto theirs = copy(session.logits());

    const std::int32_t allowed = 300, budget = 100;
    std::int32_t most = 0;
    const Reading reading{
        .plan = {method, Budget::tokens(budget)}, .observer = observer, .n_question = 20, .n_cells = allowed};
    const std::int32_t compressions = session.sequence().read(tokens, reading, [&](const ReadState& now) {
      most = std::max(most, now.n_entries);
      return true;
    });
    EXPECT_LE(most, allowed);
    EXPECT_GE(compressions, (n - allowed) / (allowed - budget));
    EXPECT_EQ(session.sequence().n_compressions(), compressions);
    EXPECT_EQ(session.sequence().next_position(), n);
    EXPECT_EQ(session.sequence().tokens(), tokens);
    EXPECT_LE(session.sequence().n_entries(), budget);
    EXPECT_GE(session.sequence().n_entries(), budget - 10);  // whole chunks of the paper's rule
    const std::int32_t window = method->request().queries == Queries::window ? method->request().window : 0;
    for (std::int32_t layer = 0; layer < 3; ++layer)
      for (std::int32_t head = 0; head < 2; ++head) {
        const auto positions = session.sequence().positions(layer, head);
        EXPECT_TRUE(std::is_sorted(positions.begin(), positions.end()));
        EXPECT_EQ(std::set(positions.begin(), positions.end()).size(), positions.size());
        EXPECT_LT(positions.back(), n);
        for (std::int32_t i = 0; i < 4; ++i) EXPECT_EQ(positions[std::size_t(i)], i);
        for (std::int32_t i = 1; i <= window; ++i)
          EXPECT_EQ(positions[positions.size() - std::size_t(i)], n - i);
      }
    // The other sequence goes on as it would alone.
    Session alone(tiny(), cells(512));
    alone.sequence().prefill(others);
    EXPECT_EQ(copy(alone.logits()), theirs);
    const auto expected = copy(alone.sequence().decode(7)), actual = copy(session.sequence(1).decode(7));
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 2e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ReadingMethods, testing::ValuesIn(kSpecs), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

// The rows in the cache are those of the positions that the session names. In the first layer, whose rows do
// not depend on what was dropped, a cache that was read in pieces has the same rows as one that was
// compressed once to the same positions.
TEST(Reading, RowsOfTheFirstLayerAreThoseOfAWholePrompt) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 700);
  Session pieces(tiny(), cells(256)), whole(tiny(), cells(1024));
  pieces.sequence().read(tokens, {.plan = {make_method("streamingllm"), Budget::tokens(80)}});
  whole.sequence().prefill(tokens);
  std::vector<LayerKept> same;
  for (std::int32_t layer = 0; layer < 3; ++layer)
    same.push_back({layer, {pieces.sequence().positions(0, 0)}});
  whole.sequence().compress(same);
  // Keys and values of layer 0 depend on token and position only.
  const Snapshot a = pieces.sequence().snapshot(), b = whole.sequence().snapshot();
  ASSERT_EQ(a.n_entries, b.n_entries);
  const std::size_t row = 2 * 32 * 2, header = 16 + std::size_t(a.n_entries) * 12 + 8 + 12;
  std::vector<std::vector<std::byte>> rows[2];
  int i = 0;
  for (const Snapshot* s : {&a, &b}) {
    for (const std::int32_t rank : s->order) {
      const auto at = s->state.begin() + std::ptrdiff_t(header + row * std::size_t(rank));
      rows[i].emplace_back(at, at + std::ptrdiff_t(row));
    }
    ++i;
  }
  EXPECT_EQ(rows[0], rows[1]);
}

// H2O's sums include the attention of the queries that were read before a compression.
TEST(Reading, AccumulatedAttentionSurvivesCompression) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 200);
  // Nothing is dropped in between, so two readings add up the same attention as one.
  Plan plan{make_method("h2o"), Budget::tokens(150)};
  plan.keep_scores = true;
  Session once(tiny(), cells(256)), twice(tiny(), cells(256));
  once.sequence().prefill(tokens, {&plan, 1});
  twice.sequence().prefill(std::span(tokens).first(120), {&plan, 1});
  twice.sequence().prefill(std::span(tokens).subspan(120), {&plan, 1});
  for (std::size_t layer = 0; layer < 3; ++layer) {
    const auto &a = once.sequence().selection().scores[layer].values,
               &b = twice.sequence().selection().scores[layer].values;
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-2 * (1 + a[i]));
  }
}

TEST(Reading, SaysWhatDoesNotFit) {
  std::mt19937 random(1);
  const auto tokens = random_tokens(random, 600);
  Session session(tiny(), cells(256));
  const auto read = [&](const char* spec, std::int32_t budget, std::int32_t n_question,
                        std::int32_t n_cells = 0) {
    return message_of<UsageError>([&] {
      session.sequence().read(tokens, {.plan = {make_method(spec), Budget::tokens(budget)},
                                       .n_question = n_question,
                                       .n_cells = n_cells});
    });
  };
  expect_mentions(read("snapkv:window=16", 200, 0), {"256 cells", "200", "64", "264"});
  expect_mentions(read("snapkv:window=16", 100, 100), {"256 cells", "question of 100", "264"});
  expect_mentions(read("snapkv:window=16", 100, 0, 300), {"300 cells", "256"});
  expect_mentions(read("snapkv:window=16", 100, 600), {"600"});
  expect_mentions(read("snapkv:window=16", 10, 0), {"10"});
  expect_mentions(read("full", 100, 0), {"600 tokens", "256 cells", "full"});
  expect_mentions(read("pyramidkv:window=16", 100, 0), {"pyramidkv"});
  EXPECT_EQ(session.sequence().n_entries(), 0);
  EXPECT_THROW(
      session.sequence().read(tokens, {.plan = {make_method("snapkv:window=16"), Budget::tokens(100)}},
                              [](const ReadState& now) { return now.done < 300; }),
      Interrupted);
  session.sequence().clear();
  session.sequence().read(tokens, {.plan = {make_method("snapkv:window=16"), Budget::tokens(100)}});
  EXPECT_EQ(session.sequence().n_entries(), 100);
}

}  // namespace
}  // namespace chunkkv::test
