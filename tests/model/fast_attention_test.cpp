// Compares our own attention with the engine's, on tiny models of every architecture.
#include <chunkkv/prompt_attention.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/exact_attention.h"
#include "support/gpu.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <vector>

namespace chunkkv::test {
namespace {

SessionOptions small_cache(CacheType type = CacheType::f16) {
  SessionOptions options;
  options.n_cells = 1024;
  options.n_ubatch = 128;
  options.n_threads = 2;
  options.type_k = options.type_v = type;
  return options;
}

/// Logits after the prompt and after two tokens more.
std::vector<float> logits(Session& session, std::span<const Token> tokens) {
  session.sequence().prefill(tokens);
  std::vector<float> result(session.logits().begin(), session.logits().end());
  for (const Token t : {7, 40}) {
    const auto next = session.sequence().decode(t);
    result.insert(result.end(), next.begin(), next.end());
  }
  return result;
}

class FastAttention : public testing::TestWithParam<NamedModel> {
 protected:
  /// Products of 8-bit activations differ by the rounding of both sides, 4e-3 each.
  static double bound() { return rounds_to_bf16() ? 2e-2 : 1e-2; }
};

TEST_P(FastAttention, ComputesWhatTheEngineComputes) {
  const std::string file = write_tiny_model(GetParam().model, tiny_folder());
  Session ours(Model::load(file), small_cache());
  Session engines(Model::load(file, {.fast_prefill = false}), small_cache());
  ASSERT_EQ(prompt_attention(engines.model()), "llama.cpp");
  if (has_gpu() || prompt_attention(ours.model()) == "llama.cpp")
    GTEST_SKIP() << "both are the engine's here";
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 300);
  EXPECT_LT(relative_difference(logits(engines, tokens), logits(ours, tokens)), bound());
}

/// What cells receive from all queries is added up while our kernel computes; the engine's attention is
/// computed a second time for it.
TEST_P(FastAttention, AddsUpWhatCellsReceive) {
  const std::string file = write_tiny_model(GetParam().model, tiny_folder());
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 500);
  Plan plan{make_method("h2o"), Budget::tokens(100)};
  plan.keep_scores = true;
  std::vector<std::vector<float>> scores;
  for (const bool fast : {true, false}) {
    Session session(Model::load(file, {.fast_prefill = fast}), small_cache());
    session.sequence().prefill(tokens, {&plan, 1});
    std::vector<float>& all = scores.emplace_back();
    for (const Scores& layer : session.sequence().selection().scores)
      all.insert(all.end(), layer.values.begin(), layer.values.end());
  }
  ASSERT_FALSE(scores[0].empty());
  EXPECT_LT(relative_difference(scores[1], scores[0]), bound());
}

TEST(FastAttentionOf, OtherCachesIsTheEngines) {
  const std::string file = write_tiny_model({}, tiny_folder());
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 200);
  for (const CacheType type : {CacheType::f32, CacheType::q8_0, CacheType::bf16}) {
    Session ours(Model::load(file), small_cache(type));
    Session engines(Model::load(file, {.fast_prefill = false}), small_cache(type));
    // Rotations are ours and differ by their last bits; attention of ours would differ by more. A last bit
    // may round a number to the other of two 8-bit ones.
    const double bound = type == CacheType::q8_0 ? 8e-3 : 2e-3;
    EXPECT_LT(relative_difference(logits(engines, tokens), logits(ours, tokens)), bound) << to_string(type);
  }
}

/// Logits of two steps that several sequences take together; `lengths` are those of their prompts.
std::vector<float> steps_together(Session& session, std::span<const Token> tokens,
                                  std::span<const std::size_t> lengths) {
  std::vector<SequenceId> sequences;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    sequences.push_back(SequenceId(i));
    session.sequence(sequences.back()).prefill(tokens.first(lengths[i]));
  }
  std::vector<float> result;
  for (const Token t : {7, 40})
    session.decode(std::vector<Token>(lengths.size(), t), sequences,
                   [&](std::size_t, std::span<const float> next) {
                     result.insert(result.end(), next.begin(), next.end());
                   });
  return result;
}

TEST_P(FastAttention, ComputesStepsOfSeveralSequences) {
  const std::string file = write_tiny_model(GetParam().model, tiny_folder());
  SessionOptions options = small_cache();
  options.n_sequences = 3;
  Session ours(Model::load(file), options);
  Session engines(Model::load(file, {.fast_prefill = false}), options);
  std::mt19937 random(random_seed());
  const auto tokens = random_tokens(random, 300);
  const std::vector<std::size_t> lengths{300, 20, 129};
  EXPECT_LT(
      relative_difference(steps_together(engines, tokens, lengths), steps_together(ours, tokens, lengths)),
      bound());
}

INSTANTIATE_TEST_SUITE_P(All, FastAttention, testing::ValuesIn(compressible_models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chunkkv::test
