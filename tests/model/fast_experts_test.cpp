// Compares our products with the experts of a mixture with the engine's, on a tiny model's quantised weights.
#include <chunkkv/session.h>

#include "llama/weight_source.h"
#include "support/default_model.h"
#include "support/gpu.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

struct Mixture {
  const char* name;
  llama_ftype file;
  const char* experts;  ///< the type of the experts' weights
};

class FastExperts : public testing::TestWithParam<Mixture> {
 protected:
  static std::string model() {
    const std::string tiny = write_tiny_model(
        {.architecture = "qwen3moe", .head_dim = 64, .n_ff = 192, .n_vocab = 1024}, tiny_folder());
    return converted_model(tiny, GetParam().file);
  }
  static SessionOptions options(std::int32_t n_ubatch = 512) {
    SessionOptions result;
    result.n_cells = 512;
    result.n_ubatch = n_ubatch;
    result.n_threads = 2;
    return result;
  }
  static std::vector<float> logits_of(Session& session, std::span<const Token> tokens) {
    session.sequence().clear();
    session.sequence().prefill(tokens, {});
    return {session.logits().begin(), session.logits().end()};
  }
  std::vector<Token> prompt() { return random_tokens(random_, 192, 1000); }

  std::mt19937 random_{random_seed()};
};

TEST_P(FastExperts, AreAsNearToUnquantisedArithmeticAsTheEngines) {
  if (has_gpu() || !Model::load(model())->fast_prefill())
    GTEST_SKIP() << "both are the engine's here: no such processor, or a GPU does the work";
  std::vector<std::vector<Token>> prompts;
  for (int i = 0; i < 8; ++i) prompts.push_back(prompt());
  // One session after the other: their threads would wait for each other.
  const auto logits_of_all = [&](const std::shared_ptr<Model>& loaded) {
    Session session(loaded, options());
    std::vector<std::vector<float>> all;
    for (const auto& tokens : prompts) all.push_back(logits_of(session, tokens));
    return all;
  };
  // On tiles F16 weights become BF16, as they do in a file of that type.
  const bool rounds = engine::machine().amx && GetParam().file == LLAMA_FTYPE_MOSTLY_F16;
  const std::string same = rounds ? converted_model(model(), LLAMA_FTYPE_MOSTLY_BF16) : model();
  const auto exact = logits_of_all(Model::load(converted_model(model(), LLAMA_FTYPE_ALL_F32)));
  const auto fast = logits_of_all(Model::load(model()));
  const auto slow = logits_of_all(Model::load(same, {.fast_prefill = false}));
  double ours = 0, engine = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    ours += relative_difference(exact[i], fast[i]) / double(prompts.size());
    engine += relative_difference(exact[i], slow[i]) / double(prompts.size());
  }
  std::printf("error: ours %.4f, the engine's %.4f\n", ours, engine);
  EXPECT_LT(ours, 1.5 * engine);
}

TEST_P(FastExperts, AreToldOf) {
  const auto loaded = Model::load(model());
  const bool leaves_some = engine::machine().avx512 && !engine::machine().vnni;
  if (has_gpu() || !loaded->fast_prefill() || leaves_some) GTEST_SKIP() << "the engine multiplies here";
  Session session(loaded, options());
  logits_of(session, prompt());
  const auto uses = session.weights();
  const auto experts =
      std::ranges::find_if(uses, [](const WeightUse& use) { return use.type == GetParam().experts; });
  ASSERT_NE(experts, uses.end());
  EXPECT_NE(experts->product, "llama.cpp");
}

TEST_P(FastExperts, GiveTheSameWhereverAPromptIsCut) {
  if (has_gpu()) GTEST_SKIP() << "a GPU does the work";
  const auto loaded = Model::load(model());
  const auto tokens = prompt();
  const auto read = [&](std::int32_t n_ubatch) {
    Session session(loaded, options(n_ubatch));
    const auto logits = logits_of(session, tokens);
    EXPECT_EQ(logits_of(session, tokens), logits);  // the engine has its graph back and uses it again
    return logits;
  };
  EXPECT_EQ(read(64), read(512));
}

INSTANTIATE_TEST_SUITE_P(Types, FastExperts,
                         testing::Values(Mixture{"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0, "q4_0"},
                                         Mixture{"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0, "q8_0"},
                                         Mixture{"mxfp4", LLAMA_FTYPE_MOSTLY_MXFP4_MOE, "mxfp4"},
                                         Mixture{"f16", LLAMA_FTYPE_MOSTLY_F16, "f16"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace chunkkv::test
