// Models with other kinds of cache: M-RoPE (with text), where a cell keeps several positions of its token,
// and latent attention, where values are part of the keys.
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/exact_attention.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/small_cache.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNTokens = 200;

class KindsOfCache : public testing::TestWithParam<TinyModel> {
 protected:
  std::shared_ptr<Model> model_ = Model::load(write_tiny_model(GetParam(), tiny_folder()), exact_attention());
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, kNTokens);

  void read_and_compress(Session& session, SequenceId sequence = 0) const {
    const Plan plan{make_method("snapkv:window=16"), Budget::tokens(60)};
    session.sequence(sequence).prefill(tokens_, {&plan, 1});
    session.sequence(sequence).compress(session.sequence(sequence).selection());
  }
  static std::vector<float> go_on(Session& session, SequenceId sequence = 0) {
    return logits_after(session, {5, 90, 33}, sequence);
  }
};

TEST_P(KindsOfCache, ASavedCacheGoesOnBitForBit) {
  Session first(model_, cells_of_two(512)), second(model_, cells_of_two(512));
  read_and_compress(first);
  const Snapshot saved = first.sequence().snapshot();
  const std::vector<float> expected = go_on(first);
  second.sequence().restore(saved);
  EXPECT_EQ(second.sequence().n_entries(), 60);
  EXPECT_EQ(go_on(second), expected);
  first.sequence().restore(saved);
  EXPECT_EQ(go_on(first), expected);
}

TEST_P(KindsOfCache, SequencesDoNotDisturbEachOther) {
  Session alone(model_, cells_of_two(512)), both(model_, cells_of_two(512));
  read_and_compress(alone);
  both.sequence(1).prefill(std::span(tokens_).first(70));
  read_and_compress(both);
  both.sequence(1).clear();
  EXPECT_LT(relative_difference(go_on(alone), go_on(both)), 5e-3);  // other cells, another order of sums
}

// The loss of a quantised cache depends on the model. A converted one loses about as much as one that was
// read in its type.
TEST_P(KindsOfCache, CachesAreConverted) {
  if (GetParam().architecture == "deepseek2" && GetParam().head_dim == 32)
    GTEST_SKIP() << "80 numbers a row are no whole blocks of a quantised cache";
  const SessionOptions q8 = cells_of_two(512, CacheType::q8_0);
  Session from(model_, cells_of_two(512)), to(model_, q8), native(model_, q8);
  read_and_compress(from);
  native.sequence().prefill(tokens_);
  native.sequence().compress(from.sequence().selection());
  to.sequence().restore(to.converted(from.sequence().snapshot()));
  const std::vector<float> truth = go_on(from);
  const double its_loss = relative_difference(truth, go_on(native));
  EXPECT_LT(relative_difference(truth, go_on(to)), 3 * its_loss + 0.02);
}

TEST_P(KindsOfCache, DamagedStatesAreRefused) {
  Session session(model_, cells_of_two(512));
  read_and_compress(session);
  Snapshot saved = session.sequence().snapshot();
  saved.state.resize(saved.state.size() - 12);
  EXPECT_THROW(session.sequence().restore(saved), Error);
}

TEST_P(KindsOfCache, PromptsAreReadInPieces) {
  Session session(model_, cells_of_two(256));
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 160};
  EXPECT_GT(session.sequence().read(tokens_, reading), 1);
  EXPECT_LE(session.sequence().n_entries(), 80);
  EXPECT_EQ(session.sequence().next_position(), kNTokens);
  session.sequence().decode(7);
}

/// The engine refuses to turn keys with M-RoPE; with latent attention it turns a part of each key.
TEST_P(KindsOfCache, CachePositionsAreRefusedOrRight) {
  SessionOptions options = cells_of_two(256);
  options.cache_positions = true;
  if (GetParam().architecture != "deepseek2") {
    EXPECT_THROW(Session(model_, options), UsageError);
    return;
  }
  // Once the gaps are closed, the rows of the first layer are those of the kept tokens read alone.
  Session session(model_, options), fresh(model_, options);
  const Plan plan{make_method("streamingllm:sinks=0"), Budget::tokens(40)};
  session.sequence().prefill(tokens_, {&plan, 1});
  session.sequence().compress(session.sequence().selection());
  fresh.sequence().prefill(std::span(tokens_).last(40));
  session.sequence().decode(7), fresh.sequence().decode(7);
  const auto kept = session.sequence().magnitudes(0), expected = fresh.sequence().magnitudes(0);
  EXPECT_EQ(session.sequence().next_position(), fresh.sequence().next_position());
  EXPECT_LT(relative_difference(expected, kept), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Tiny, KindsOfCache,
                         testing::Values(TinyModel{.architecture = "qwen2vl", .head_dim = 64},
                                         TinyModel{.architecture = "qwen3vl", .head_dim = 64},
                                         TinyModel{.architecture = "qwen3vlmoe", .n_ff = 48},
                                         TinyModel{.architecture = "deepseek2"},
                                         TinyModel{.architecture = "deepseek2", .head_dim = 128}),
                         [](const auto& info) {
                           return info.param.architecture + "_" + std::to_string(info.param.head_dim);
                         });

}  // namespace
}  // namespace chunkkv::test
