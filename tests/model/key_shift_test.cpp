// Cache positions are refused where the engine's turned keys would be wrong, or where turning them would stop
// the program.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/random_input.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

namespace chunkkv::test {
namespace {

constexpr CacheType kTypes[] = {CacheType::f32,  CacheType::f16,  CacheType::bf16,
                                CacheType::q8_0, CacheType::q4_0, CacheType::q4_1,
                                CacheType::q5_0, CacheType::q5_1, CacheType::iq4_nl};

std::shared_ptr<Model> load(const TinyModel& what) {
  return Model::load(write_tiny_model(what, tiny_folder()));
}

SessionOptions shift_options(CacheType keys, bool cache_positions = true) {
  SessionOptions options;
  options.n_cells = 256;
  options.n_threads = 1;
  options.type_k = keys;
  options.cache_positions = cache_positions;
  return options;
}

/// Compresses and goes on, so that keys are turned.
void use(Session& session, std::mt19937& random) {
  const auto& layers = session.model().info().n_layer;
  session.sequence().prefill(random_tokens(random, 60));
  session.sequence().compress(same_layers(layers, random_kept(random, 60, 20)));
  session.sequence().decode(5);
  session.sequence().compress(same_layers(layers, random_kept(random, 21, 10)));
  session.sequence().decode(6);
  EXPECT_EQ(session.sequence().next_position(), 11);  // 10 kept ones, and the one read after them
}

TEST(KeyShift, EachKeyTypeWorksOrIsRefused) {
  std::mt19937 random(random_seed());
  for (const TinyModel& what :
       {TinyModel{}, TinyModel{.head_dim = 64}, TinyModel{.n_head_kv = 1, .head_dim = 128}}) {
    const auto model = load(what);
    for (const CacheType type : kTypes) {
      if (type == CacheType::bf16) {
        expect_mentions(message_of<UsageError>([&] { Session(model, shift_options(type)); }),
                        {"bf16", "-ctk"});
        static_cast<void>(Session(model, shift_options(type, false)));
        continue;
      }
      // The engine turns quantised keys only in heads whose size is a multiple of 64.
      if (type != CacheType::f32 && type != CacheType::f16 && what.head_dim % 64 != 0) {
        expect_mentions(message_of<UsageError>([&] { Session(model, shift_options(type)); }),
                        {"heads of 32", "-ctk"});
        continue;
      }
      Session session(model, shift_options(type));
      use(session, random);
    }
  }
}

TEST(KeyShift, RopeOfAPartOfEachHead) {
  std::mt19937 random(random_seed());
  const auto model = load({.architecture = "phi3", .head_dim = 64, .n_rot = 32});
  for (const CacheType type : kTypes) {
    if (type == CacheType::f32 || type == CacheType::f16) {
      Session session(model, shift_options(type));
      use(session, random);
    } else {
      EXPECT_THROW(Session(model, shift_options(type)), UsageError) << to_string(type);
    }
  }
}

TEST(KeyShift, LayersWithoutRope) {
  const auto model = load({.architecture = "smollm3", .n_layer = 4, .head_dim = 64});
  for (const CacheType type : kTypes)
    if (type != CacheType::bf16)
      expect_mentions(message_of<UsageError>([&] { Session(model, shift_options(type)); }), {"layer 3"});
  std::mt19937 random(random_seed());
  Session session(model, shift_options(CacheType::f16, false));
  session.sequence().prefill(random_tokens(random, 60));
  session.sequence().compress(same_layers(4, random_kept(random, 60, 20)));
  session.sequence().decode(5);
  const auto without =
      load({.architecture = "smollm3", .n_layer = 3, .head_dim = 64});  // too few for one without RoPE
  Session all_turn(without, shift_options(CacheType::f16));
  use(all_turn, random);
}

TEST(KeyShift, RopeThatScalesKeys) {
  struct Case {
    TinyModel model;
    const char* scale;
  };
  // YaRN with a factor f scales keys by 1 + 0.1 ln f.
  const std::vector<Case> cases = {
      {{.architecture = "phi3", .rope_factors = true}, "1.100"},
      {{.architecture = "qwen3", .rope_scaling = "yarn", .rope_scaling_factor = 4}, "1.139"},
      {{.architecture = "llama", .rope_scaling = "yarn", .rope_scaling_factor = 2}, "1.069"},
  };
  for (const Case& each : cases) {
    const auto model = load(each.model);
    expect_mentions(message_of<UsageError>([&] { Session(model, shift_options(CacheType::f16)); }),
                    {each.scale, "YaRN"});
    for (const CacheType type : {CacheType::f32, CacheType::q8_0, CacheType::q4_0})
      EXPECT_THROW(Session(model, shift_options(type)), UsageError) << to_string(type);
    Session(model, shift_options(CacheType::f16, false));
  }
  std::mt19937 random(random_seed());
  Session linear(load({.rope_scaling = "linear"}), shift_options(CacheType::f16));
  use(linear, random);
}

// A session tries at its start whether it can turn keys. The trial leaves nothing behind.
TEST(KeyShift, TheTrialIsForgotten) {
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 40);
  const auto model = load({});
  Session tried(model, shift_options(CacheType::f16)), plain(model, shift_options(CacheType::f16, false));
  EXPECT_THROW(tried.logits(), UsageError);
  tried.sequence().prefill(tokens);
  plain.sequence().prefill(tokens);
  EXPECT_TRUE(std::equal(tried.logits().begin(), tried.logits().end(), plain.logits().begin()));
}

}  // namespace
}  // namespace chunkkv::test
