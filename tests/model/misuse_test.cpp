// What a program may do wrong with the library throws a UsageError or an Error, and the session works on.
#include <chunkkv/cache_file.h>
#include <chunkkv/fidelity.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "support/random_input.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <limits>

namespace chunkkv::test {
namespace {

SessionOptions small() {
  SessionOptions options;
  options.n_cells = 256;
  options.n_threads = 1;
  options.n_sequences = 2;
  return options;
}

class Misuse : public testing::Test {
 protected:
  void SetUp() override { session.sequence().prefill(prompt); }

  /// Sequence 0 still holds the prompt and goes on as one that was never misused.
  void expect_untouched() {
    ASSERT_EQ(session.sequence().n_entries(), std::int32_t(prompt.size()));
    EXPECT_EQ(session.sequence().tokens(), prompt);
    Session fresh(tiny(), small());
    fresh.sequence().prefill(prompt);
    const std::vector<float> expected(fresh.sequence().decode(7).begin(), fresh.logits().end());
    const auto actual = session.sequence().decode(7);
    EXPECT_TRUE(std::equal(actual.begin(), actual.end(), expected.begin(), expected.end()));
    session.sequence().truncate(std::int32_t(prompt.size()));
  }

  std::mt19937 random{random_seed()};
  std::vector<Token> prompt = random_tokens(random, 60);
  Session session{tiny(), small()};
  const Plan good{make_method("tova"), Budget::tokens(20)};
};

TEST_F(Misuse, OfAModel) {
  for (const Token token : {-1, -2147483647, 260, 999999}) {
    EXPECT_THROW(tiny()->detokenize(token), UsageError);
    EXPECT_THROW(tiny()->is_end(token), UsageError);
    EXPECT_THROW(tiny()->detokenize(std::vector<Token>{5, token}), UsageError);
  }
  EXPECT_TRUE(tiny()->tokenize("", false, false).empty());
  EXPECT_THROW(Model::load(""), Error);
}

TEST_F(Misuse, OfOptions) {
  EXPECT_THROW(Session(nullptr, small()), UsageError);
  const auto refused = [](auto&& change) {
    SessionOptions options = small();
    change(options);
    EXPECT_THROW(Session(tiny(), options), UsageError);
  };
  refused([](SessionOptions& o) { o.n_cells = -1; });
  refused([](SessionOptions& o) { o.n_threads = -3; });
  refused([](SessionOptions& o) { o.n_ubatch = 0; });
  refused([](SessionOptions& o) { o.n_ubatch = -5; });
  refused([](SessionOptions& o) { o.n_sequences = 0; });
  refused([](SessionOptions& o) { o.n_sequences = -1; });
  refused([](SessionOptions& o) { o.n_sequences = 100000; });
  refused([](SessionOptions& o) { o.type_k = CacheType(77); });
}

TEST_F(Misuse, OfTokens) {
  for (const Token token : {-1, 260, 999999}) {
    const std::vector<Token> bad = {5, token, 6};
    EXPECT_THROW(session.sequence().prefill(bad), UsageError);
    EXPECT_THROW(session.sequence().read(bad, {.plan = good}), UsageError);
    EXPECT_THROW(session.sequence().decode(token), UsageError);
    EXPECT_THROW(session.sequence().evaluate(bad, [](std::size_t, std::span<const float>) {}), UsageError);
    const std::vector<Token> pair = {5, token};
    const std::vector<SequenceId> both = {0, 1};
    EXPECT_THROW(session.decode(pair, both, [](std::size_t, std::span<const float>) {}), UsageError);
  }
  EXPECT_THROW(session.sequence().prefill({}), UsageError);
  EXPECT_THROW(session.sequence().prefill(random_tokens(random, 300)), UsageError);
  EXPECT_THROW(
      session.sequence().evaluate(random_tokens(random, 300), [](std::size_t, std::span<const float>) {}),
      UsageError);
  expect_untouched();
}

TEST_F(Misuse, OfPlans) {
  const Plan none;
  Plan negative = good;
  negative.protect_first = -1;
  Plan negative_last = good;
  negative_last.protect_last = -4;
  Plan too_much = good;
  too_much.protect_last = 30;
  const auto more = random_tokens(random, 5);
  for (const Plan* bad : std::initializer_list<const Plan*>{&none, &negative, &negative_last}) {
    EXPECT_THROW(session.sequence().prefill(more, {bad, 1}), UsageError);
    EXPECT_THROW(session.sequence().read(more, {.plan = *bad}), UsageError);
    EXPECT_THROW(session.sequence().compress_while_decoding(*bad, 10), UsageError);
  }
  EXPECT_THROW(session.sequence().prefill(more, {&too_much, 1}), UsageError);
  EXPECT_THROW(session.sequence().compress_while_decoding(good, 0), UsageError);
  EXPECT_THROW(session.sequence().compress_while_decoding(good, std::numeric_limits<std::int32_t>::max()),
               UsageError);
  EXPECT_THROW(session.sequence().compress_while_decoding(
                   {good.method, Budget::tokens(std::int64_t(1) << 40)}, 1 << 30),
               UsageError);
  EXPECT_THROW(session.sequence().selection(3), UsageError);
  EXPECT_THROW(session.sequence().read(more, {.plan = good, .n_question = -1}), UsageError);
  EXPECT_THROW(session.sequence().read(more, {.plan = good, .n_cells = -1}), UsageError);
  EXPECT_THROW(session.sequence().read(more, {.plan = good, .piece = -1}), UsageError);
  EXPECT_THROW(session.sequence().read({}, {.plan = good}), UsageError);
  expect_untouched();
}

TEST_F(Misuse, OfKeptSets) {
  const auto n_layer = tiny()->info().n_layer;
  EXPECT_THROW(session.sequence().compress(std::vector<LayerKept>{}), UsageError);
  EXPECT_THROW(session.sequence().compress(same_layers(1, {0, 1})), UsageError);
  EXPECT_THROW(session.sequence().compress(same_layers(n_layer + 1, {0, 1})), UsageError);
  for (const std::vector<std::int32_t>& list :
       {std::vector<std::int32_t>{}, {5, 2}, {3, 3}, {-1, 4}, {0, 60}, {0, 2147483647}})
    EXPECT_THROW(session.sequence().compress(same_layers(n_layer, list)), UsageError);
  auto layers = same_layers(n_layer, {0, 1});
  layers[1].heads.assign(3, {0, 1});
  EXPECT_THROW(session.sequence().compress(layers), UsageError);
  layers[1].heads.clear();
  EXPECT_THROW(session.sequence().compress(layers), UsageError);
  layers = same_layers(n_layer, {0, 1});
  layers[1].layer = 7;
  EXPECT_THROW(session.sequence().compress(layers), UsageError);
  EXPECT_THROW(session.sequence().compress(Selection{}), UsageError);
  EXPECT_THROW(session.sequence(1).compress(same_layers(n_layer, {0})), UsageError);  // it is empty
  for (const std::int32_t n : {-1, 61, 2147483647}) EXPECT_THROW(session.sequence().truncate(n), UsageError);
  expect_untouched();
}

TEST_F(Misuse, OfSequencesAndCallbacks) {
  for (const SequenceId bad : {-1, 2, 1000}) {
    EXPECT_THROW(session.sequence(bad).prefill(prompt), UsageError);
    EXPECT_THROW(session.sequence(bad).decode(5), UsageError);
    EXPECT_THROW(session.sequence(bad).clear(), UsageError);
    EXPECT_THROW(session.sequence(bad).truncate(0), UsageError);
    EXPECT_THROW(session.sequence(bad).snapshot(), UsageError);
    EXPECT_THROW(session.sequence(bad).restore({}), UsageError);
    EXPECT_THROW(session.sequence(bad).tokens(), UsageError);
    EXPECT_THROW(session.sequence(bad).n_entries(), UsageError);
    EXPECT_THROW(session.sequence(bad).positions(0, 0), UsageError);
    EXPECT_THROW(session.sequence(bad).magnitudes(0), UsageError);
    EXPECT_THROW(session.sequence(bad).use(), UsageError);
    EXPECT_THROW(session.sequence(bad).compress_while_decoding(good, 4), UsageError);
    EXPECT_THROW(session.sequence(bad).stop_compressing(), UsageError);
    EXPECT_THROW(session.sequence(bad).n_compressions(), UsageError);
  }
  for (const std::int32_t layer : {-1, 3, 99}) {
    EXPECT_THROW(session.sequence().positions(layer, 0), UsageError);
    EXPECT_THROW(session.sequence().magnitudes(layer), UsageError);
  }
  EXPECT_THROW(session.sequence().positions(0, 2), UsageError);
  const std::vector<Token> pair = {5, 6};
  const std::vector<SequenceId> both = {0, 1}, twice = {0, 0}, one = {0};
  const auto ignore = [](std::size_t, std::span<const float>) {};
  EXPECT_THROW(session.decode(pair, both, nullptr), UsageError);
  EXPECT_THROW(session.decode(pair, twice, ignore), UsageError);
  EXPECT_THROW(session.decode(pair, one, ignore), UsageError);
  EXPECT_THROW(session.sequence().evaluate(pair, nullptr), UsageError);
  EXPECT_THROW(Session(tiny(), small()).logits(), UsageError);
  expect_untouched();
}

TEST_F(Misuse, OfSources) {
  Session other(tiny(), small());
  EXPECT_THROW(Source(other.sequence(), prompt, Plan{}), UsageError);
  Source source(other.sequence(), prompt, good);
  EXPECT_THROW(source.set_plan({}), UsageError);
  EXPECT_THROW(source.ask({}), UsageError);
  EXPECT_THROW(source.ask(std::vector<Token>{5, -1}), UsageError);
  source.ask(std::vector<Token>{5, 6});
  EXPECT_EQ(other.sequence().n_entries(), 20);
  Snapshot compressed = session.sequence().snapshot();
  compressed.positions.resize(1);
  EXPECT_THROW(Source(other.sequence(), compressed, {}, good), UsageError);
}

TEST_F(Misuse, OfFidelity) {
  Session other(tiny(), small());
  const Plan none;
  EXPECT_THROW(measure_fidelity(session.sequence(), prompt, {&good, 1}), UsageError);  // sequence not empty
  EXPECT_THROW(measure_fidelity(other.sequence(), prompt, {&none, 1}), UsageError);
  EXPECT_THROW(measure_fidelity(other.sequence(), {}, {&good, 1}), UsageError);
  for (const std::int32_t n : {0, -1, std::numeric_limits<std::int32_t>::max()})
    EXPECT_THROW(measure_fidelity(other.sequence(), prompt, {&good, 1}, {.n_tokens = n}), UsageError);
  EXPECT_THROW(measure_fidelity(other.sequence(), prompt, {&good, 1}, {.kept = &other.sequence()}),
               UsageError);
  EXPECT_EQ(other.sequence().n_entries(), 0);
  EXPECT_EQ(measure_fidelity(other.sequence(), prompt, {&good, 1}, {.n_tokens = 3}).front().n_kept, 20);
}

}  // namespace
}  // namespace chunkkv::test
