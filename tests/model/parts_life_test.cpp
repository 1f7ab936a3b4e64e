// What a cache lives through, on models of which only some layers keep every token: saved and restored,
// several sequences, pieces, going back. What is not compressed is the same bytes before and after.
#include <chunkkv/cache_file.h>
#include <chunkkv/error.h>
#include <chunkkv/fidelity.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "support/exact_attention.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/small_cache.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"
#include "unit/temporary_folder.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNPrompt = 300, kNKept = 60;

class LifeOfParts : public testing::TestWithParam<ModelOfParts> {
 protected:
  std::shared_ptr<Model> model_ =
      Model::load(write_tiny_model(GetParam().model, tiny_folder()), exact_attention());
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, kNPrompt);

  /// Of logits when the same is added up in another order, in half precision; depth multiplies it.
  double tolerance() const { return GetParam().model.n_layer > 10 ? 0.1 : 1e-2; }
  static Plan plan(const char* method = "snapkv:window=16") {
    return {make_method(method), Budget::tokens(kNKept)};
  }
  void read_and_compress(Session& session, SequenceId sequence = 0) const {
    const Plan chosen = plan();
    session.sequence(sequence).prefill(tokens_, {&chosen, 1});
    session.sequence(sequence).compress(session.sequence(sequence).selection());
  }
  static std::vector<float> go_on(Session& session, SequenceId sequence = 0) {
    return logits_after(session, {5, 90, 33}, sequence);
  }
};

/// The windows' cells may lie in another order afterwards, so that words are compared, not the whole.
std::vector<std::uint32_t> sorted_words(const std::vector<std::byte>& bytes) {
  std::vector<std::uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), words.size() * 4);
  std::sort(words.begin(), words.end());
  return words;
}

TEST_P(LifeOfParts, WhatIsNotCompressedKeepsItsBytes) {
  Session session(model_, cells_of_two(512));
  const Plan chosen = plan();
  session.sequence().prefill(tokens_, {&chosen, 1});
  const Checkpoint before = session.sequence().checkpoint();
  session.sequence().compress(session.sequence().selection());
  const Checkpoint after = session.sequence().checkpoint();
  EXPECT_EQ(before.fixed.empty(), session.cache_parts().n_window + session.cache_parts().n_state == 0);
  EXPECT_EQ(before.fixed.size(), after.fixed.size());
  EXPECT_EQ(sorted_words(before.fixed), sorted_words(after.fixed));
  if (!GetParam().has_window) {
    EXPECT_EQ(before.fixed, after.fixed);
  }
}

TEST_P(LifeOfParts, TheEnginesAttentionGetsShorter) {
  Session session(model_, cells_of_two(1024));
  const auto cells_read = [&] {
    std::vector<std::int32_t> cells;
    session.sequence().evaluate(
        {{7}}, [](auto, auto) {}, [&](const AttentionRows& rows) { cells.push_back(rows.n_cells); });
    return cells;
  };
  const Plan chosen = plan();
  session.sequence().prefill(tokens_, {&chosen, 1});
  for (const std::int32_t cells : cells_read()) EXPECT_EQ(cells, 512);
  session.sequence().prefill(std::span(tokens_).first(20), {&chosen, 1});
  session.sequence().compress(session.sequence().selection());
  const auto cells = cells_read();
  EXPECT_GE(cells.size(), GetParam().kept_layers.size());
  for (const std::int32_t each : cells) EXPECT_EQ(each, 256);
}

TEST_P(LifeOfParts, ASavedCacheGoesOnBitForBit) {
  const TemporaryFolder folder;
  Session first(model_, cells_of_two(512)), second(model_, cells_of_two(512));
  read_and_compress(first);
  CacheFileInfo info;
  const CacheFormat format = format_of(first);
  info.model = format.model;
  info.parts = first.cache_parts();
  info.type_k = format.type_k, info.type_v = format.type_v;
  info.engine_format = format.engine_format;
  save_cache_file(folder.file("a.kv"), info, first.sequence().snapshot());
  const Snapshot saved = load_cache_file(folder.file("a.kv")).snapshot;
  second.sequence().restore(saved);
  EXPECT_EQ(second.sequence().n_entries(), kNKept);
  const std::vector<float> restored = go_on(second);
  first.sequence().restore(saved);
  EXPECT_EQ(go_on(first), restored);
  // Cells of windows lie in another order than where they were read: the sums are rounded otherwise.
  Session third(model_, cells_of_two(512));
  read_and_compress(third);
  const std::vector<float> read = go_on(third);
  if (GetParam().has_window) {
    EXPECT_LT(relative_difference(read, restored), tolerance());
  } else {
    EXPECT_EQ(read, restored);
  }
}

TEST_P(LifeOfParts, SequencesDoNotDisturbEachOther) {
  Session alone(model_, cells_of_two(1024)), both(model_, cells_of_two(1024)),
      short_one(model_, cells_of_two(1024));
  std::vector<LayerKept> layers;  // scores that nearly tie would choose others
  for (std::size_t layer = 0; layer < GetParam().kept_layers.size(); ++layer)
    layers.push_back({std::int32_t(layer), {random_kept(random_, kNPrompt, kNKept)}});
  short_one.sequence().prefill(std::span(tokens_).first(170));
  alone.sequence().prefill(tokens_);
  alone.sequence().compress(layers);
  both.sequence(1).prefill(std::span(tokens_).first(170));
  both.sequence().prefill(tokens_);
  both.sequence().compress(layers);
  const std::vector<float> other = go_on(both, 1);
  EXPECT_LT(relative_difference(go_on(short_one), other), tolerance());
  EXPECT_LT(relative_difference(go_on(alone), go_on(both)), tolerance());
}

TEST_P(LifeOfParts, GoesBackToACheckpoint) {
  Session session(model_, cells_of_two(1024));
  session.sequence().prefill(tokens_);
  const Checkpoint here = session.sequence().checkpoint();
  const std::vector<float> expected = go_on(session);
  session.sequence().prefill(std::span(tokens_).first(150));
  session.sequence().go_back(here);
  EXPECT_EQ(session.sequence().n_entries(), kNPrompt);
  EXPECT_LT(relative_difference(expected, go_on(session)), tolerance());
  if (GetParam().has_state) {
    EXPECT_THROW(session.sequence().truncate(kNPrompt), UsageError);
    EXPECT_EQ(session.sequence().n_entries(), kNPrompt + 3);
  }
  session.sequence().clear();
  EXPECT_THROW(session.sequence().go_back(here), UsageError);
  read_and_compress(session);
  EXPECT_THROW(session.sequence().go_back(here), UsageError);
  const Checkpoint compressed = session.sequence().checkpoint();
  const std::vector<float> kept = go_on(session);
  session.sequence().go_back(compressed);
  EXPECT_LT(relative_difference(kept, go_on(session)), tolerance());
}

/// Where going back would find a window that has lost something, nothing is dropped.
TEST_P(LifeOfParts, TruncatesWhereNothingIsLostAndRefusesElsewhere) {
  Session session(model_, cells_of_two(1024)), fresh(model_, cells_of_two(1024));
  session.sequence().prefill(tokens_);
  session.sequence().prefill(std::span(tokens_).first(30));
  const bool whole = !GetParam().has_state;
  if (whole) {
    session.sequence().truncate(kNPrompt);
    fresh.sequence().prefill(tokens_);
    EXPECT_LT(relative_difference(go_on(fresh), go_on(session)), tolerance());
  } else {
    EXPECT_THROW(session.sequence().truncate(kNPrompt), UsageError);
    EXPECT_EQ(session.sequence().n_entries(), kNPrompt + 30);
  }
  if (session.cache_parts().n_window > 0 && session.cache_parts().window < 200) {
    EXPECT_THROW(session.sequence().truncate(100), UsageError);
  }
}

TEST_P(LifeOfParts, PromptsAreReadInPieces) {
  for (const std::int32_t n_question : {0, 20}) {
    Session session(model_, cells_of_two(512));
    Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 180};
    reading.n_question = n_question;
    EXPECT_GT(session.sequence().read(tokens_, reading), 1);
    EXPECT_LE(session.sequence().n_entries(), 80);
    EXPECT_EQ(session.sequence().next_position(), kNPrompt);
    go_on(session);
  }
}

/// A question that is read ahead and forgotten leaves what follows as it was.
TEST_P(LifeOfParts, AQuestionReadAheadLeavesNoTrace) {
  Session asked(model_, cells_of_two(1024)), plain(model_, cells_of_two(1024));
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::parse("100%")},
                  .n_question = 20,
                  .keep_question = false,
                  .n_cells = 1000};
  asked.sequence().read(tokens_, reading);
  plain.sequence().prefill(std::span(tokens_).first(kNPrompt - 20));
  ASSERT_EQ(asked.sequence().n_entries(), kNPrompt - 20);
  EXPECT_LT(relative_difference(go_on(plain), go_on(asked)), tolerance());
}

/// A window that is larger than the cache holds no more tokens than that, whatever the other layers drop.
TEST_P(LifeOfParts, AWindowThatIsFullIsTold) {
  Session session(model_, cells_of_two(256));
  if (session.cache_parts().n_window == 0 || session.cache_parts().window < 400) GTEST_SKIP() << "it fits";
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 200};
  EXPECT_THROW(session.sequence().read(tokens_, reading), UsageError);
  EXPECT_EQ(session.sequence().n_entries(), 0);
}

TEST_P(LifeOfParts, StaysWithinALimitWhileItGenerates) {
  Session session(model_, cells_of_two(512));
  read_and_compress(session);
  session.sequence().compress_while_decoding(plan("streamingllm"), 16);
  for (int i = 0; i < 40; ++i) session.sequence().decode(Token(i + 3));
  EXPECT_LE(session.sequence().n_entries(), kNKept + 16);
  EXPECT_GE(session.sequence().n_compressions(), 2);
}

TEST_P(LifeOfParts, FidelityOfEverythingIsPerfect) {
  Session session(model_, cells_of_two(1024));
  const std::vector<Plan> plans = {{make_method("full"), Budget()}, plan()};
  const auto results = measure_fidelity(session.sequence(), tokens_, plans, {.n_tokens = 8});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_LT(results[0].kl, 1e-5);
  EXPECT_EQ(results[0].kv_l1.size(), GetParam().kept_layers.size());
  EXPECT_GT(results[1].kl, results[0].kl);
  EXPECT_LT(results[1].attention_mass[0], 1);
}

TEST_P(LifeOfParts, ASourceAnswersAsAPromptReadAtOnce) {
  Session session(model_, cells_of_two(1024)), whole(model_, cells_of_two(1024));
  const Plan chosen = plan();
  Source source(session.sequence(), std::span(tokens_).first(280), chosen);
  for (int i = 0; i < 2; ++i) source.ask(std::span(tokens_).last(20));
  whole.sequence().prefill(tokens_, {&chosen, 1});
  whole.sequence().compress(whole.sequence().selection());
  EXPECT_EQ(session.sequence().n_entries(), kNKept);
  // Cells of windows lie in another order there, and scores that nearly tie change places.
  const auto here = session.sequence().positions(0, 0), there = whole.sequence().positions(0, 0);
  std::vector<Position> common;
  std::set_intersection(here.begin(), here.end(), there.begin(), there.end(), std::back_inserter(common));
  EXPECT_GT(common.size(), 9 * here.size() / 10);
  if (here == there && GetParam().model.n_layer <= 10) {
    EXPECT_LT(relative_difference(go_on(whole), go_on(session)), 0.1);
  }
}

TEST_P(LifeOfParts, StatesAreConvertedAndWindowsRefuse) {
  const SessionOptions q8 = cells_of_two(512, CacheType::q8_0);
  Session from(model_, cells_of_two(512)), to(model_, q8), native(model_, q8);
  read_and_compress(from);
  if (GetParam().has_window) {
    EXPECT_THROW(to.converted(from.sequence().snapshot()), Error);
    return;
  }
  native.sequence().prefill(tokens_);
  native.sequence().compress(from.sequence().selection());
  to.sequence().restore(to.converted(from.sequence().snapshot()));
  const std::vector<float> truth = go_on(from);
  const double its_loss = relative_difference(truth, go_on(native));
  EXPECT_LT(relative_difference(truth, go_on(to)), 3 * its_loss + 0.05);
}

TEST_P(LifeOfParts, CachePositionsAreRefused) {
  SessionOptions options = cells_of_two(512);
  options.cache_positions = true;
  if (GetParam().has_window || GetParam().has_state) {
    EXPECT_THROW(Session(model_, options), UsageError);
  }
}

TEST_P(LifeOfParts, DamagedStatesAreRefused) {
  Session session(model_, cells_of_two(512));
  read_and_compress(session);
  const Snapshot whole = session.sequence().snapshot();
  Snapshot saved = whole;
  saved.state.resize(saved.state.size() - 12);
  EXPECT_THROW(session.sequence().restore(saved), Error);
  EXPECT_EQ(session.sequence().n_entries(), 0);
  session.sequence().restore(whole);
  go_on(session);
}

/// Models whose layers all keep every token live through the same.
std::vector<ModelOfParts> whole_models() {
  std::vector<ModelOfParts> models;
  const std::vector<NamedModel> named = {{"qwen2vl", {.architecture = "qwen2vl", .head_dim = 64}},
                                         {"qwen3vl", {.architecture = "qwen3vl", .head_dim = 64}},
                                         {"qwen3vlmoe", {.architecture = "qwen3vlmoe", .n_ff = 48}},
                                         {"deepseek2", {.architecture = "deepseek2", .head_dim = 128}},
                                         {"glm4moe", {.architecture = "glm4moe"}},
                                         {"minimax_m2", {.architecture = "minimax-m2"}},
                                         {"qwen3moe", {.architecture = "qwen3moe"}},
                                         {"smollm3", {.architecture = "smollm3", .n_layer = 4}},
                                         {"mistral3", {.architecture = "mistral3"}},
                                         {"phi3", {.architecture = "phi3"}}};
  for (const auto& [name, model] : named) {
    models.push_back({name, model, {}});
    for (std::uint32_t layer = 0; layer < model.n_layer; ++layer)
      models.back().kept_layers.push_back(std::int32_t(layer));
  }
  return models;
}

INSTANTIATE_TEST_SUITE_P(Whole, LifeOfParts, testing::ValuesIn(whole_models()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Tiny, LifeOfParts, testing::ValuesIn(models_of_parts()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chunkkv::test
