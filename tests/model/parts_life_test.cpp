// Models of which only some layers keep every token: saving and restoring, several sequences, prompts in
// pieces, going back. Windows and states, which are not compressed, have the same bytes before and after.
#include <chunkkv/cache_file.h>
#include <chunkkv/error.h>
#include <chunkkv/fidelity.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "support/cache_info.h"
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

constexpr std::int32_t kNLife = 300, kNKept = 60;

class MixedModelCache : public testing::TestWithParam<MixedModel> {
 protected:
  std::shared_ptr<Model> model_ =
      Model::load(write_tiny_model(GetParam().model, tiny_folder()), exact_attention());
  std::mt19937 random_{random_seed()};
  std::vector<Token> tokens_ = random_tokens(random_, kNLife);

  /// How much logits may differ by adding up in another order, in half precision.
  static constexpr double kTolerance = 1e-2;
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

/// The words of 4 bytes, sorted: the cells of windows may lie in another order after compression.
std::vector<std::uint32_t> sorted_words(const std::vector<std::byte>& bytes) {
  std::vector<std::uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), words.size() * 4);
  std::sort(words.begin(), words.end());
  return words;
}

TEST_P(MixedModelCache, WhatIsNotCompressedKeepsItsBytes) {
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

TEST_P(MixedModelCache, TheEnginesAttentionGetsShorter) {
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

TEST_P(MixedModelCache, ASavedCacheGoesOnBitForBit) {
  const TemporaryFolder folder;
  Session first(model_, cells_of_two(512)), second(model_, cells_of_two(512));
  read_and_compress(first);
  save_cache_file(folder.file("a.kv"), info_of(first), first.sequence().snapshot());
  const Snapshot saved = load_cache_file(folder.file("a.kv")).snapshot;
  second.sequence().restore(saved);
  EXPECT_EQ(second.sequence().n_entries(), kNKept);
  const std::vector<float> restored = go_on(second);
  first.sequence().restore(saved);
  EXPECT_EQ(go_on(first), restored);
  // Windows come back with their cells in another order, so sums are rounded differently.
  Session third(model_, cells_of_two(512));
  read_and_compress(third);
  const std::vector<float> read = go_on(third);
  if (GetParam().has_window) {
    EXPECT_LT(relative_difference(read, restored), kTolerance);
  } else {
    EXPECT_EQ(read, restored);
  }
}

TEST_P(MixedModelCache, SequencesDoNotDisturbEachOther) {
  Session alone(model_, cells_of_two(1024)), both(model_, cells_of_two(1024)),
      short_one(model_, cells_of_two(1024));
  std::vector<LayerKept> layers;  // given, as scores may nearly tie
  for (std::size_t layer = 0; layer < GetParam().kept_layers.size(); ++layer)
    layers.push_back({std::int32_t(layer), {random_kept(random_, kNLife, kNKept)}});
  short_one.sequence().prefill(std::span(tokens_).first(170));
  alone.sequence().prefill(tokens_);
  alone.sequence().compress(layers);
  both.sequence(1).prefill(std::span(tokens_).first(170));
  both.sequence().prefill(tokens_);
  both.sequence().compress(layers);
  const std::vector<float> other = go_on(both, 1);
  EXPECT_LT(relative_difference(go_on(short_one), other), kTolerance);
  EXPECT_LT(relative_difference(go_on(alone), go_on(both)), kTolerance);
}

TEST_P(MixedModelCache, GoesBackToACheckpoint) {
  Session session(model_, cells_of_two(1024));
  session.sequence().prefill(tokens_);
  const Checkpoint here = session.sequence().checkpoint();
  const std::vector<float> expected = go_on(session);
  session.sequence().prefill(std::span(tokens_).first(150));
  session.sequence().go_back(here);
  EXPECT_EQ(session.sequence().n_entries(), kNLife);
  EXPECT_LT(relative_difference(expected, go_on(session)), kTolerance);
  if (GetParam().has_state) {
    EXPECT_THROW(session.sequence().truncate(kNLife), UsageError);
    EXPECT_EQ(session.sequence().n_entries(), kNLife + 3);
  }
  session.sequence().clear();
  EXPECT_THROW(session.sequence().go_back(here), UsageError);
  read_and_compress(session);
  EXPECT_THROW(session.sequence().go_back(here), UsageError);
  const Checkpoint compressed = session.sequence().checkpoint();
  const std::vector<float> kept = go_on(session);
  session.sequence().go_back(compressed);
  EXPECT_LT(relative_difference(kept, go_on(session)), kTolerance);
}

/// Truncating is refused, and drops nothing, where a window or a state has lost what it held there.
TEST_P(MixedModelCache, TruncatesWhereNothingIsLostAndRefusesElsewhere) {
  Session session(model_, cells_of_two(1024)), fresh(model_, cells_of_two(1024));
  session.sequence().prefill(tokens_);
  session.sequence().prefill(std::span(tokens_).first(30));
  const bool whole = !GetParam().has_state;
  if (whole) {
    session.sequence().truncate(kNLife);
    fresh.sequence().prefill(tokens_);
    EXPECT_LT(relative_difference(go_on(fresh), go_on(session)), kTolerance);
  } else {
    EXPECT_THROW(session.sequence().truncate(kNLife), UsageError);
    EXPECT_EQ(session.sequence().n_entries(), kNLife + 30);
  }
  if (session.cache_parts().n_window > 0 && session.cache_parts().window < 200) {
    EXPECT_THROW(session.sequence().truncate(100), UsageError);
  }
}

TEST_P(MixedModelCache, PromptsAreReadInPieces) {
  for (const std::int32_t n_question : {0, 20}) {
    Session session(model_, cells_of_two(512));
    Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 180};
    reading.n_question = n_question;
    EXPECT_GT(session.sequence().read(tokens_, reading), 1);
    EXPECT_LE(session.sequence().n_entries(), 80);
    EXPECT_EQ(session.sequence().next_position(), kNLife);
    go_on(session);
  }
}

/// A question that is read ahead and dropped again does not change what follows.
TEST_P(MixedModelCache, AQuestionReadAheadLeavesNoTrace) {
  Session asked(model_, cells_of_two(1024)), plain(model_, cells_of_two(1024));
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::parse("100%")},
                  .n_question = 20,
                  .keep_question = false,
                  .n_cells = 1000};
  asked.sequence().read(tokens_, reading);
  plain.sequence().prefill(std::span(tokens_).first(kNLife - 20));
  ASSERT_EQ(asked.sequence().n_entries(), kNLife - 20);
  EXPECT_LT(relative_difference(go_on(plain), go_on(asked)), kTolerance);
}

/// Layers with a window larger than the cache hold no more tokens than it has cells, whatever others drop.
TEST_P(MixedModelCache, AWindowThatIsFullIsTold) {
  Session session(model_, cells_of_two(256));
  if (session.cache_parts().n_window == 0 || session.cache_parts().window < 400) GTEST_SKIP() << "it fits";
  Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)}, .n_cells = 200};
  EXPECT_THROW(session.sequence().read(tokens_, reading), UsageError);
  EXPECT_EQ(session.sequence().n_entries(), 0);
}

TEST_P(MixedModelCache, StaysWithinALimitWhileItGenerates) {
  Session session(model_, cells_of_two(512));
  read_and_compress(session);
  session.sequence().compress_while_decoding(plan("streamingllm"), 16);
  for (int i = 0; i < 40; ++i) session.sequence().decode(Token(i + 3));
  EXPECT_LE(session.sequence().n_entries(), kNKept + 16);
  EXPECT_GE(session.sequence().n_compressions(), 2);
}

TEST_P(MixedModelCache, FidelityOfEverythingIsPerfect) {
  Session session(model_, cells_of_two(1024));
  const std::vector<Plan> plans = {{make_method("full"), Budget()}, plan()};
  const auto results = measure_fidelity(session.sequence(), tokens_, plans, {.n_tokens = 8});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_LT(results[0].kl, 1e-5);
  EXPECT_EQ(results[0].kv_l1.size(), GetParam().kept_layers.size());
  EXPECT_GT(results[1].kl, results[0].kl);
  EXPECT_LT(results[1].attention_mass[0], 1);
}

TEST_P(MixedModelCache, ASourceAnswersAsAPromptReadAtOnce) {
  Session session(model_, cells_of_two(1024)), whole(model_, cells_of_two(1024));
  const Plan chosen = plan();
  Source source(session.sequence(), std::span(tokens_).first(280), chosen);
  for (int i = 0; i < 2; ++i) source.ask(std::span(tokens_).last(20));
  whole.sequence().prefill(tokens_, {&chosen, 1});
  whole.sequence().compress(whole.sequence().selection());
  EXPECT_EQ(session.sequence().n_entries(), kNKept);
  // The source has the cells of windows in another order, so scores that nearly tie may change places.
  const auto here = session.sequence().positions(0, 0), there = whole.sequence().positions(0, 0);
  std::vector<Position> common;
  std::set_intersection(here.begin(), here.end(), there.begin(), there.end(), std::back_inserter(common));
  EXPECT_GT(common.size(), 9 * here.size() / 10);
  bool is_same = true;
  const CacheParts& parts = session.cache_parts();
  for (std::int32_t layer = 0; layer < std::int32_t(parts.n_head_kv.size()); ++layer)
    for (std::int32_t head = 0; head < parts.n_head_kv[std::size_t(layer)]; ++head)
      is_same =
          is_same && session.sequence().positions(layer, head) == whole.sequence().positions(layer, head);
  if (is_same && GetParam().model.n_layer <= 10) {
    EXPECT_LT(relative_difference(go_on(whole), go_on(session)), 0.1);
  }
}

TEST_P(MixedModelCache, StatesAreConvertedAndWindowsRefuse) {
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

TEST_P(MixedModelCache, CachePositionsAreRefused) {
  SessionOptions options = cells_of_two(512);
  options.cache_positions = true;
  if (GetParam().has_window || GetParam().has_state) {
    EXPECT_THROW(Session(model_, options), UsageError);
  }
}

TEST_P(MixedModelCache, DamagedStatesAreRefused) {
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

/// Models whose layers all keep every token: they must pass the same tests.
std::vector<MixedModel> whole_models() {
  std::vector<MixedModel> models;
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

INSTANTIATE_TEST_SUITE_P(Whole, MixedModelCache, testing::ValuesIn(whole_models()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Tiny, MixedModelCache, testing::ValuesIn(mixed_models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chunkkv::test
