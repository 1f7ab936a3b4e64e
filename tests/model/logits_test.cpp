// Compares the logits of compressed caches with what the engine itself computes.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <cmath>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNFamily = 300;
// The engine adds up values of one token's attention in half precision, in cell order.
constexpr double kFamilyTolerance = 1e-2;

std::shared_ptr<Model> load_family(const TinyModel& tiny) {
  return Model::load(write_tiny_model(tiny, tiny_folder()));
}

SessionOptions family_cache(CacheType type = CacheType::f16) {
  SessionOptions options;
  options.n_cells = 1024;
  options.n_ubatch = 64;
  options.n_threads = 1;
  options.type_k = options.type_v = type;
  return options;
}

class Families : public testing::TestWithParam<NamedModel> {};

TEST_P(Families, KeepingAllLeavesTheNextLogitsBitIdentical) {
  const auto model = load_family(GetParam().model);
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNFamily);
  std::vector<std::vector<float>> runs;
  for (const bool compressed : {false, true}) {
    Session session(model, family_cache());
    const Plan plan{make_method("snapkv:window=16"), Budget::parse("100%")};
    if (compressed) {
      session.sequence().prefill(tokens, {&plan, 1});
      EXPECT_EQ(session.sequence().selection().n_kept, kNFamily);
      session.sequence().compress(session.sequence().selection().layers);
    } else {
      session.sequence().prefill(tokens);
    }
    runs.push_back(copy(session.logits()));
    for (const Token t : {7, 9, 40})
      runs.back().insert(runs.back().end(), session.sequence().decode(t).begin(), session.logits().end());
  }
  EXPECT_EQ(runs[0], runs[1]);
}

// Keeping the same entries in all layers gives the logits of the full cache without the other cells.
TEST_P(Families, CompressedEqualsFullCacheWithDroppedCellsMasked) {
  const auto model = load_family(GetParam().model);
  const auto seed = random_seed();
  SCOPED_TRACE(testing::Message() << "CHUNKKV_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  const auto tokens = random_tokens(random, kNFamily);
  const auto kept = random_kept(random, kNFamily, 60);

  Session compressed(model, family_cache());
  compressed.sequence().prefill(tokens);
  compressed.sequence().compress(same_layers(model->info().n_layer, kept));

  Session masked(model, family_cache());
  masked.sequence().prefill(tokens);
  for (std::int32_t p = 0; p < kNFamily; ++p)
    if (!std::binary_search(kept.begin(), kept.end(), p))
      llama_memory_seq_rm(llama_get_memory(masked.handle()), 0, p, p + 1);

  for (const Token t : {7, 9, 40}) {
    const auto expected = copy(masked.sequence().decode(t));
    const auto actual = copy(compressed.sequence().decode(t));
    EXPECT_LT(relative_difference(expected, actual), kFamilyTolerance);
  }
  // The comparison can fail: the full cache gives other logits.
  Session full(model, family_cache());
  full.sequence().prefill(tokens);
  EXPECT_GT(relative_difference(copy(full.sequence().decode(7)),
                                [&] {
                                  Session again(model, family_cache());
                                  again.sequence().prefill(tokens);
                                  again.sequence().compress(same_layers(model->info().n_layer, kept));
                                  return copy(again.sequence().decode(7));
                                }()),
            5 * kFamilyTolerance);
}

TEST_P(Families, TheSameRunTwiceGivesTheSameBytes) {
  const auto model = load_family(GetParam().model);
  std::mt19937 random(3);
  const auto tokens = random_tokens(random, kNFamily);
  std::vector<std::vector<float>> runs;
  std::vector<std::vector<LayerKept>> kept;
  for (int run = 0; run < 2; ++run) {
    Session session(model, family_cache());
    const Plan plan{make_method("chunkkv:window=16"), Budget::parse("30%")};
    session.sequence().prefill(tokens, {&plan, 1});
    kept.push_back(session.sequence().selection().layers);
    session.sequence().compress(session.sequence().selection().layers);
    runs.push_back(copy(session.sequence().decode(7)));
  }
  EXPECT_EQ(kept[0], kept[1]);
  EXPECT_EQ(runs[0], runs[1]);
}

INSTANTIATE_TEST_SUITE_P(All, Families, testing::ValuesIn(compressible_models()),
                         [](const auto& info) { return info.param.name; });

class RefusedModels : public testing::TestWithParam<NamedModel> {};

TEST_P(RefusedModels, WithASentence) {
  const auto model = load_family(GetParam().model);
  EXPECT_NE(model->refusal(), "");
  EXPECT_NE(model->refusal().find(GetParam().model.architecture), std::string::npos) << model->refusal();
  EXPECT_THROW(Session(model, family_cache()), Error);
}

INSTANTIATE_TEST_SUITE_P(All, RefusedModels, testing::ValuesIn(refused_models()),
                         [](const auto& info) { return info.param.name; });

TEST(SessionTest, QuantisedCachesGenerateAfterCompression) {
  TinyModel tiny;
  tiny.head_dim = 64;
  const auto model = load_family(tiny);
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, kNFamily);
  const auto kept = random_kept(random, kNFamily, 60);
  for (const CacheType type : {CacheType::q8_0, CacheType::q4_0, CacheType::bf16, CacheType::f32}) {
    Session compressed(model, family_cache(type));
    compressed.sequence().prefill(tokens);
    compressed.sequence().compress(same_layers(3, kept));
    Session masked(model, family_cache(type));
    masked.sequence().prefill(tokens);
    for (std::int32_t p = 0; p < kNFamily; ++p)
      if (!std::binary_search(kept.begin(), kept.end(), p))
        llama_memory_seq_rm(llama_get_memory(masked.handle()), 0, p, p + 1);
    EXPECT_LT(relative_difference(copy(masked.sequence().decode(7)), copy(compressed.sequence().decode(7))),
              5e-3)
        << to_string(type);
  }
}

TEST(SessionTest, OptionsTellWhatDefaultsBecame) {
  const auto model = load_family({});
  SessionOptions defaults;
  defaults.n_threads = 0;
  const Session session(model, defaults);
  EXPECT_EQ(session.options().n_cells, model->info().n_ctx_train);
  EXPECT_EQ(session.use().cells_allocated, session.options().n_cells);
  EXPECT_GE(session.options().n_threads, 1);
}

TEST(SessionTest, TruncateGoesBackToThePrompt) {
  const auto model = load_family({});
  std::mt19937 random(5);
  Session session(model, family_cache());
  session.sequence().prefill(random_tokens(random, 100));
  const auto first = copy(session.sequence().decode(7));
  session.sequence().decode(8);
  session.sequence().truncate(100);
  EXPECT_EQ(session.sequence().next_position(), 100);
  EXPECT_EQ(copy(session.sequence().decode(7)), first);
  session.sequence().truncate(100);
  session.sequence().compress(same_layers(3, {0, 50, 99}));
  session.sequence().decode(7);
  session.sequence().truncate(3);
  EXPECT_EQ(session.sequence().next_position(), 100);
  EXPECT_THROW(session.sequence().truncate(2), UsageError);
  EXPECT_THROW(session.sequence().truncate(4), UsageError);
}

TEST(SessionTest, AFullCacheAndABadPromptSayWhatToDo) {
  const auto model = load_family({});
  SessionOptions options = family_cache();
  options.n_cells = 256;
  Session session(model, options);
  std::mt19937 random(5);
  EXPECT_THROW(session.sequence().prefill({}), UsageError);
  EXPECT_THROW(session.sequence().prefill(random_tokens(random, 257)), UsageError);
  const Plan small{make_method("chunkkv:window=32"), Budget::tokens(20)};
  EXPECT_THROW(session.sequence().prefill(random_tokens(random, 200), {&small, 1}), UsageError);
  EXPECT_EQ(session.sequence().n_entries(), 0);

  session.sequence().prefill(random_tokens(random, 255));
  EXPECT_THROW(session.sequence().prefill(random_tokens(random, 2)), UsageError);
  session.sequence().decode(7);
  EXPECT_THROW(session.sequence().decode(7), Error);
  EXPECT_EQ(session.sequence().n_entries(), 256);
  session.sequence().clear();
  session.sequence().prefill(random_tokens(random, 256));
}

TEST(SessionTest, AnInterruptedPrefillKeepsWhatWasRead) {
  const auto model = load_family({});
  Session session(model, family_cache());
  std::mt19937 random(5);
  EXPECT_THROW(session.sequence().prefill(random_tokens(random, 300), {},
                                          [](const ReadState& now) { return now.done < 128; }),
               Interrupted);
  EXPECT_EQ(session.sequence().n_entries(), 128);
  session.sequence().clear();
  session.sequence().prefill(random_tokens(random, 300));
}

}  // namespace
}  // namespace chunkkv::test
