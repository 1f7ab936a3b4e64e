// Sweeps on models of which only some layers keep every token: they go back to checkpoints between answers.
#include "runner/pairs.h"
#include "runner/sweep.h"

#include "support/eval_samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace chunkkv::test {
namespace {

using Texts = std::vector<std::string>;

class MixedModelSweep : public testing::TestWithParam<MixedModel> {
 protected:
  std::shared_ptr<Model> model_ = Model::load(write_tiny_model(GetParam().model, tiny_folder()));
  std::vector<Plan> pairs_ =
      eval::make_pairs(Texts{"full", "snapkv:window=8", "hybrid:window=8,recent=8,after=3"}, Texts{"30%"});

  /// Tokens of the answers, by pair and question.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Token>> answers(const eval::Sample& sample,
                                                                            eval::SweepOptions options) {
    options.sampling.ignore_eos = true;
    const auto open = [&](std::int32_t n_cells) {
      SessionOptions opened = session_options(n_cells);
      opened.n_sequences = options.parallel;
      return std::make_unique<Session>(model_, opened);
    };
    eval::Sweep sweep(model_, open, pairs_, options);
    std::map<std::pair<std::size_t, std::size_t>, std::vector<Token>> found;
    for (const auto& together : sweep.readings(std::vector<std::size_t>{0, 1, 2}))
      sweep.run(sample, together, {.answered = [&](const eval::Outcome& outcome) {
                  found[{outcome.pair, outcome.question}] = outcome.answer.tokens;
                  kept_[outcome.pair] = outcome.kept_tokens;
                  prompt_ = outcome.prompt_tokens;
                }});
    return found;
  }
  std::map<std::size_t, std::int32_t> kept_;
  std::int32_t prompt_ = 0;
};

TEST_P(MixedModelSweep, AnswersEveryQuestionOfEveryPair) {
  Random random;
  const eval::Sample asked = sample(random, "1", 40, 3);
  for (const bool separate : {false, true}) {
    const auto found = answers(asked, {.separate_questions = separate});
    ASSERT_EQ(found.size(), 9U);
    EXPECT_EQ(kept_[0], prompt_);
    EXPECT_LE(kept_[1], prompt_ * 3 / 10);
    EXPECT_EQ(kept_[2], kept_[1]);
    // The full cache's answer to the first question, in a session of its own.
    Session session(model_, session_options(4096));
    session.sequence().prefill(model_->tokenize(asked.prompt(), true, true));
    text::Sampler sampler(*model_, {.ignore_eos = true});
    std::vector<Token> expected;
    for (std::int32_t i = 0; i < kAnswer; ++i) {
      expected.push_back(sampler.sample(session.logits()));
      session.sequence().decode(expected.back());
    }
    EXPECT_EQ(found.at({0, 0}), expected);
    // A plan that observes the answer has the full cache's first three tokens.
    EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + 3, found.at({2, 0}).begin()));
    EXPECT_EQ(answers(asked, {.separate_questions = separate}), found);
  }
}

TEST_P(MixedModelSweep, AnswersTogetherAndInPieces) {
  Random random;
  const eval::Sample asked = sample(random, "1", 40);
  EXPECT_EQ(answers(asked, {.parallel = 3}).size(), 3U);
  EXPECT_EQ(answers(asked, {.n_cells = GetParam().name == "llama4" ? 1024 : 220}).size(), 3U);
  EXPECT_EQ(answers(asked, {.query = eval::Query::agnostic}).size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Tiny, MixedModelSweep, testing::ValuesIn(mixed_models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chunkkv::test
