// Models with several positions a token (M-RoPE), with text: their cells keep the others beside the first.
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t n_tokens = 200;

class Mrope : public testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<Model> model_ =
      Model::load(write_tiny_model({.architecture = GetParam(), .head_dim = 64}, tiny_folder()));
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, n_tokens);

  static SessionOptions with_cells(std::int32_t n, CacheType type = CacheType::f16) {
    SessionOptions options;
    options.n_cells = n;
    options.n_ubatch = 64;
    options.n_threads = 1;
    options.n_sequences = 2;
    options.type_k = options.type_v = type;
    return options;
  }
  void read_and_compress(Session& session, Sequence sequence = 0) const {
    const Plan plan{make_method("snapkv:window=16"), Budget::tokens(60)};
    session.prefill(tokens_, {&plan, 1}, {}, sequence);
    session.compress(session.selection(), sequence);
  }
  static std::vector<float> go_on(Session& session, Sequence sequence = 0) {
    std::vector<float> all;
    for (const Token t : {5, 90, 33}) {
      const auto logits = session.decode(t, sequence);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }
};

TEST_P(Mrope, ASavedCacheGoesOnBitForBit) {
  Session first(model_, with_cells(512)), second(model_, with_cells(512));
  read_and_compress(first);
  const Snapshot saved = first.snapshot();
  const std::vector<float> expected = go_on(first);
  second.restore(saved);
  EXPECT_EQ(second.n_entries(), 60);
  EXPECT_EQ(go_on(second), expected);
  first.restore(saved);
  EXPECT_EQ(go_on(first), expected);
}

TEST_P(Mrope, SequencesDoNotDisturbEachOther) {
  Session alone(model_, with_cells(512)), both(model_, with_cells(512));
  read_and_compress(alone);
  both.prefill(std::span(tokens_).first(70), {}, {}, 1);
  read_and_compress(both);
  both.clear(1);
  EXPECT_LT(relative_difference(go_on(alone), go_on(both)), 5e-3);  // other cells, another order of sums
}

TEST_P(Mrope, CachesAreConverted) {
  Session from(model_, with_cells(512)), to(model_, with_cells(512, CacheType::q8_0));
  read_and_compress(from);
  to.restore(to.converted(from.snapshot()));
  EXPECT_LT(relative_difference(go_on(from), go_on(to)), 0.05);
}

TEST_P(Mrope, DamagedStatesAreRefused) {
  Session session(model_, with_cells(512));
  read_and_compress(session);
  Snapshot saved = session.snapshot();
  saved.state.resize(saved.state.size() - 12);
  EXPECT_THROW(session.restore(saved), Error);
}

TEST_P(Mrope, PromptsAreReadInPieces) {
  Session session(model_, with_cells(256));
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 160};
  EXPECT_GT(session.read(tokens_, reading), 1);
  EXPECT_LE(session.n_entries(), 80);
  EXPECT_EQ(session.next_position(), n_tokens);
  session.decode(7);
}

TEST_P(Mrope, CachePositionsAreRefused) {
  SessionOptions options = with_cells(256);
  options.cache_positions = true;
  EXPECT_THROW(Session(model_, options), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Mrope, testing::Values("qwen2vl", "qwen3vl", "qwen3vlmoe"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace chunkkv::test
