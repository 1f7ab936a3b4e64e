// Compares sequences that are decoded in one step with the same sequences decoded one by one.
#include <chunkkv/error.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "runner/pairs.h"
#include "support/eval_samples.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNTogether = 200;
// The engine adds up the values of attention in half precision, in an order that depends on the batch.
constexpr double kTolerance = 1e-2;

SessionOptions several(std::int32_t n_sequences) {
  SessionOptions options = session_options(2048);
  options.n_sequences = n_sequences;
  return options;
}

/// Sequences of different prompts, each compressed in its own way; the last one hides cells from layers.
struct FourSequences {
  explicit FourSequences(std::uint32_t seed) : session(tiny_model(), several(4)) {
    std::mt19937 random(seed);
    const char* specs[] = {"full", "snapkv:window=8", "chunkkv:window=8,chunk=5", "pyramidkv:window=8"};
    for (SequenceId s = 0; s < 4; ++s) {
      const Plan plan{make_method(specs[s]), Budget::parse("30%")};
      session.sequence(s).prefill(random_tokens(random, kNTogether + 10 * s), {&plan, 1});
      if (s > 0) session.sequence(s).compress(session.sequence(s).selection());
    }
  }
  Session session;
};

TEST(DecodeTogether, GivesWhatEachSequenceGivesAlone) {
  const std::uint32_t seed = random_seed();
  FourSequences together(seed), alone(seed);
  const std::vector<SequenceId> order = {2, 0, 3, 1};
  for (Token step = 0; step < 6; ++step) {
    std::vector<Token> tokens;
    for (const SequenceId s : order) tokens.push_back(10 + 7 * step + s);
    std::map<std::size_t, std::vector<float>> logits;
    together.session.decode(tokens, order, [&](std::size_t i, std::span<const float> values) {
      logits[i].assign(values.begin(), values.end());
    });
    ASSERT_EQ(logits.size(), order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      EXPECT_LT(relative_difference(alone.session.sequence(order[i]).decode(tokens[i]), logits[i]),
                kTolerance)
          << "step " << step << ", sequence " << order[i];
  }
  for (const SequenceId s : order) {
    EXPECT_EQ(together.session.sequence(s).n_entries(), alone.session.sequence(s).n_entries());
    EXPECT_EQ(together.session.sequence(s).next_position(), alone.session.sequence(s).next_position());
    EXPECT_EQ(together.session.sequence(s).tokens(), alone.session.sequence(s).tokens());
  }
}

TEST(DecodeTogether, ASequenceThatIsLeftOutStaysAsItWas) {
  const std::uint32_t seed = random_seed();
  FourSequences filled(seed), untouched(seed);
  const Token tokens[] = {5, 6};
  const SequenceId sequences[] = {1, 3};
  filled.session.decode(tokens, sequences, [](std::size_t, std::span<const float>) {});
  EXPECT_EQ(filled.session.sequence(2).n_entries(), untouched.session.sequence(2).n_entries());
  EXPECT_LT(
      relative_difference(untouched.session.sequence(2).decode(9), filled.session.sequence(2).decode(9)),
      kTolerance);
}

/// The engine computes a step in parts when it has more tokens than a micro-batch.
TEST(DecodeTogether, TakesMoreSequencesThanAMicroBatchHasTokens) {
  const std::uint32_t seed = random_seed();
  std::mt19937 random(seed);
  SessionOptions options = several(5);
  options.n_ubatch = 2;
  Session together(tiny_model(), options), alone(tiny_model(), several(5));
  std::vector<SequenceId> sequences(5);
  std::iota(sequences.begin(), sequences.end(), 0);
  for (const SequenceId s : sequences) {
    const std::vector<Token> prompt = random_tokens(random, 20 + s);
    together.sequence(s).prefill(prompt);
    alone.sequence(s).prefill(prompt);
  }
  const std::vector<Token> next = random_tokens(random, 5);
  std::size_t n_told = 0;
  together.decode(next, sequences, [&](std::size_t i, std::span<const float> logits) {
    ++n_told;
    const std::vector<float> got(logits.begin(), logits.end());
    EXPECT_LT(relative_difference(alone.sequence(sequences[i]).decode(next[i]), got), kTolerance) << i;
  });
  EXPECT_EQ(n_told, sequences.size());
}

TEST(DecodeTogether, SaysWhatCannotBe) {
  FourSequences filled(1);
  const auto decode = [&](std::vector<Token> tokens, std::vector<SequenceId> sequences) {
    return message_of<UsageError>(
        [&] { filled.session.decode(tokens, sequences, [](std::size_t, std::span<const float>) {}); });
  };
  expect_mentions(decode({5, 6}, {1, 1}), {"sequence 1", "twice"});
  expect_mentions(decode({5}, {1, 2}), {"one token"});
  expect_mentions(decode({5}, {9}), {"no sequence 9"});
}

/// Each sequence is compressed at its own step, to the entries that it keeps when it is decoded alone.
TEST(DecodeTogether, SequencesCompressAsAlone) {
  const std::uint32_t seed = random_seed();
  FourSequences together(seed), alone(seed);
  for (Session* session : {&together.session, &alone.session}) {
    session->sequence().compress_while_decoding({make_method("streamingllm"), Budget::tokens(60)}, 5);
    session->sequence(1).compress_while_decoding({make_method("snapkv:window=8"), Budget::tokens(70)}, 9);
  }
  const std::vector<SequenceId> order = {1, 2, 0};
  for (Token step = 0; step < 30; ++step) {
    std::vector<Token> tokens;
    for (const SequenceId s : order) tokens.push_back(10 + 7 * step + s);
    std::map<std::size_t, std::vector<float>> logits;
    together.session.decode(tokens, order, [&](std::size_t i, std::span<const float> values) {
      logits[i].assign(values.begin(), values.end());
    });
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto expected = alone.session.sequence(order[i]).decode(tokens[i]);
      EXPECT_EQ(together.session.sequence(order[i]).n_entries(),
                alone.session.sequence(order[i]).n_entries());
      EXPECT_EQ(together.session.sequence(order[i]).n_compressions(),
                alone.session.sequence(order[i]).n_compressions());
      if (order[i] != 1) {  // scores that nearly tie may choose other entries
        EXPECT_LT(relative_difference(expected, logits[i]), kTolerance) << "step " << step;
      }
    }
  }
  EXPECT_GT(together.session.sequence().n_compressions(), 3);
  EXPECT_GT(together.session.sequence(1).n_compressions(), 1);
  EXPECT_EQ(together.session.sequence().positions(0, 0), alone.session.sequence().positions(0, 0));
}

/// The answers of a sweep by pair and question, `options.parallel` of them generated together.
struct Answered {
  std::map<std::pair<std::size_t, std::size_t>, eval::Outcome> outcomes;

  Answered(const eval::Sample& sample, const std::vector<Plan>& plans, const eval::SweepOptions& options) {
    eval::Sweep all = sweep(plans, options);
    std::vector<std::size_t> indices(plans.size());
    std::iota(indices.begin(), indices.end(), 0U);
    all.run(sample, indices, {.answered = [&](const eval::Outcome& outcome) {
              EXPECT_TRUE(outcomes.emplace(std::pair(outcome.pair, outcome.question), outcome).second);
            }});
  }
};

class SweepTogether : public testing::TestWithParam<eval::Query> {};

TEST_P(SweepTogether, AnswersAsInTurn) {
  Random random;
  const eval::Sample asked = sample(random, "1", 60, 2);
  const std::vector<std::string> methods = {
      "streamingllm",      "full", "snapkv:window=8", "h2o", "chunkkv:window=8,chunk=5,reuse=2",
      "pyramidkv:window=8"};
  const std::vector<std::string> budgets = {"40%", "20%"};
  const std::vector<Plan> plans = eval::make_pairs(methods, budgets);
  const Answered in_turn(asked, plans, {.query = GetParam()});
  for (const std::int32_t parallel : {3, 32}) {
    const Answered together(asked, plans, {.query = GetParam(), .parallel = parallel});
    ASSERT_EQ(together.outcomes.size(), 2 * plans.size());
    std::size_t n_same = 0;
    for (const auto& [key, outcome] : together.outcomes) {
      const eval::Outcome& expected = in_turn.outcomes.at(key);
      EXPECT_EQ(outcome.kept_tokens, expected.kept_tokens);
      EXPECT_EQ(outcome.bytes_after, expected.bytes_after);
      EXPECT_EQ(outcome.prompt_tokens, expected.prompt_tokens);
      n_same += outcome.answer.tokens == expected.answer.tokens;
    }
    // Rounding may turn a near tie between two tokens, and so change all tokens after it.
    EXPECT_GE(n_same, together.outcomes.size() * 3 / 4) << parallel << " together";
  }
}

INSTANTIATE_TEST_SUITE_P(Queries, SweepTogether, testing::Values(eval::Query::aware, eval::Query::agnostic),
                         [](const auto& info) {
                           return info.param == eval::Query::aware ? "aware" : "agnostic";
                         });

TEST(SweepTogether, AnswersAnewAfterAnInterruption) {
  Random random;
  const eval::Sample asked = sample(random, "1", 60);
  const std::vector<std::string> methods = {"full", "snapkv:window=8", "streamingllm"}, budgets = {"40%"};
  bool stops = true;
  int n_asked = 0;
  eval::Sweep together = sweep(eval::make_pairs(methods, budgets),
                               {.parallel = 3, .sampling = {.ignore_eos = true}, .interrupted = [&] {
                                  return stops && ++n_asked > 4;
                                }});
  const std::size_t pairs[] = {0, 1, 2};
  std::vector<std::vector<Token>> answers;
  const eval::SweepEvents events = {
      .answered = [&](const eval::Outcome& outcome) { answers.push_back(outcome.answer.tokens); }};
  EXPECT_THROW(together.run(asked, pairs, events), Interrupted);
  EXPECT_TRUE(answers.empty());
  stops = false;
  together.run(asked, pairs, events);
  together.run(asked, pairs, events);
  ASSERT_EQ(answers.size(), 6U);
  for (std::size_t pair = 0; pair < 3; ++pair) {
    EXPECT_EQ(answers[pair].size(), std::size_t(kAnswer));
    EXPECT_EQ(answers[pair], answers[pair + 3]);
  }
}

TEST(SweepTogether, IsNotForAnswersThatAreHeldToABudget) {
  const std::vector<std::string> methods = {"streamingllm"}, budgets = {"30"};
  expect_mentions(message_of<UsageError>(
                      [&] { sweep(eval::make_pairs(methods, budgets), {.buffer = 8, .parallel = 4}); }),
                  {"--parallel"});
}

}  // namespace
}  // namespace chunkkv::test
