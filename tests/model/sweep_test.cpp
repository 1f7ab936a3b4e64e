// Compares pairs of method and budget that a sweep answers from one reading with each pair by itself.
#include "runner/sweep.h"
#include "runner/pairs.h"

#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include "support/eval_samples.h"
#include "unit/expect_throw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace chunkkv::eval {
namespace {

using namespace test;
using Texts = std::vector<std::string>;

const std::vector<Plan>& pairs() {
  static const std::vector<Plan> all =
      make_pairs(Texts{"streamingllm", "full", "snapkv:window=8", "h2o", "chunkkv:window=8,chunk=5,reuse=2",
                       "knorm", "hybrid:window=8,recent=8,after=3", "snapkv:window=8,after=5",
                       "hybrid:queries=all,stride=5,recent=8"},
                 Texts{"100%", "40%", "20%"});
  return all;
}

struct Result {
  std::int32_t prompt = 0, kept = 0;
  std::vector<Token> tokens;
  std::string text;
  bool operator==(const Result&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Result& result) {
  out << result.kept << " of " << result.prompt << " tokens, answer";
  for (const Token token : result.tokens) out << ' ' << token;
  return out;
}

/// Results by pair and question.
using Results = std::map<std::pair<std::size_t, std::size_t>, Result>;

Results swept(const Sample& sample, const std::vector<Plan>& plans, const SweepOptions& options) {
  Results results;
  Sweep all = sweep(plans, options);
  std::vector<std::size_t> indices(plans.size());
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  for (const auto& together : all.readings(indices)) {
    all.run(sample, together, {.answered = [&](const Outcome& outcome) {
              const bool is_new = results
                                      .emplace(std::pair(outcome.pair, outcome.question),
                                               Result{outcome.prompt_tokens, outcome.kept_tokens,
                                                      outcome.answer.tokens, outcome.answer.text})
                                      .second;
              EXPECT_TRUE(is_new);
            }});
  }
  return results;
}

std::vector<Token> tokens(const std::string& text, bool begins) {
  return tiny_model()->tokenize(text, begins, true);
}

/// Generates greedily from the session's logits, up to an end token or `kAnswer` tokens.
std::vector<Token> answer(Session& session) {
  std::vector<Token> generated;
  std::span<const float> logits = session.logits();
  while (true) {
    const auto token = Token(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (tiny_model()->is_end(token)) return generated;
    generated.push_back(token);
    if (std::int32_t(generated.size()) == kAnswer) return generated;
    logits = session.sequence().decode(token);
  }
}

/// One pair and the first question in a session of its own, with nothing but the library.
Result alone(const Sample& sample, const Plan& plan, Query query) {
  Session session(tiny_model(), session_options(4096));
  const auto prompt = tokens(query == Query::aware ? sample.prompt() : sample.document, true);
  Plan own = plan;
  own.at_once = query == Query::agnostic;
  session.sequence().prefill(prompt, {&own, 1});
  session.sequence().compress_when_chosen();
  Result result{std::int32_t(prompt.size()), session.sequence().n_entries(), {}, {}};
  if (query == Query::agnostic) session.sequence().prefill(tokens(sample.questions[0].text, false));
  result.tokens = answer(session);
  if (query == Query::aware && session.sequence().has_chosen())
    result.kept = session.sequence().selection().n_kept;
  return result;
}

class Queries : public testing::TestWithParam<Query> {};

TEST_P(Queries, ASweepGivesWhatEachPairGivesAlone) {
  Random random;
  const Sample asked = sample(random, "1", 60);
  const Results results = swept(asked, pairs(), {.query = GetParam()});
  ASSERT_EQ(results.size(), pairs().size());
  std::size_t n_different = 0;
  for (std::size_t pair = 0; pair < pairs().size(); ++pair) {
    Result result = results.at({pair, 0});
    result.text.clear();
    EXPECT_EQ(result, alone(asked, pairs()[pair], GetParam())) << to_string(pairs()[pair]);
    n_different += result.tokens != results.at({0, 0}).tokens;
  }
  EXPECT_GT(n_different, 3U) << "compression that changes no answer proves nothing here";
}

TEST_P(Queries, TheOrderOfPairsDoesNotMatter) {
  Random random;
  const Sample asked = sample(random, "1", 40, 2);
  const Results results = swept(asked, pairs(), {.query = GetParam()});
  std::vector<Plan> backwards(pairs().rbegin(), pairs().rend());
  const Results others = swept(asked, backwards, {.query = GetParam()});
  for (const auto& [key, result] : results)
    EXPECT_EQ(result, others.at({pairs().size() - 1 - key.first, key.second}))
        << to_string(pairs()[key.first]);
}

INSTANTIATE_TEST_SUITE_P(Sweep, Queries, testing::Values(Query::aware, Query::agnostic),
                         [](const auto& info) { return info.param == Query::aware ? "aware" : "agnostic"; });

TEST(Sweep, FurtherQuestionsFollowTheAnswerBefore) {
  Random random;
  const Sample asked = sample(random, "1", 40, 3);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=8"}, Texts{"30%"});
  const Results results = swept(asked, plans, {});
  for (std::size_t pair = 0; pair < plans.size(); ++pair) {
    Session session(tiny_model(), session_options(4096));
    session.sequence().prefill(tokens(asked.prompt(), true), {&plans[pair], 1});
    session.sequence().compress(session.sequence().selection());
    for (std::size_t question = 0; question < 3; ++question) {
      if (question > 0) {
        const std::string& said = results.at({pair, question - 1}).text;
        session.sequence().prefill(tokens(said + "\n\n" + asked.questions[question].text, false));
      }
      const std::int32_t before = session.sequence().n_entries();
      EXPECT_EQ(answer(session), results.at({pair, question}).tokens) << to_string(plans[pair]) << question;
      session.sequence().truncate(before);
    }
  }
}

/// The cache is compressed while the first answer is generated. Later questions find the kept prompt only.
TEST(Sweep, FurtherQuestionsFollowAPromptThatTheFirstAnswerChose) {
  Random random;
  const Sample asked = sample(random, "1", 40, 3);
  const std::vector<Plan> plans = make_pairs(
      Texts{"full", "hybrid:window=8,recent=8,after=3", "snapkv:window=8,after=900"}, Texts{"30%"});
  for (const bool separate : {false, true}) {
    const Results results =
        swept(asked, plans, {.separate_questions = separate, .sampling = {.ignore_eos = true}});
    ASSERT_EQ(results.size(), 9U);
    Session session(tiny_model(), session_options(4096));
    session.sequence().prefill(tokens(asked.prompt(), true), {&plans[1], 1});
    session.sequence().compress_when_chosen();
    const auto n = std::int32_t(session.sequence().tokens().size());
    const std::vector<Token>& first = results.at({1, 0}).tokens;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(first[i], results.at({0, 0}).tokens[i]);
      session.sequence().decode(first[i]);
    }
    EXPECT_EQ(results.at({1, 0}).kept, session.sequence().n_entries() - 3);
    const Selection chosen = session.sequence().selection();
    session.sequence().clear();
    session.sequence().prefill(tokens(asked.prompt(), true));
    ASSERT_EQ(session.sequence().n_entries(), n);
    session.sequence().compress(chosen);
    const std::string said = separate ? "" : results.at({1, 0}).text;
    session.sequence().prefill(tokens(said + "\n\n" + asked.questions[1].text, false));
    const std::vector<Token>& second = results.at({1, 1}).tokens;
    for (const Token token : second) {
      std::vector<float> logits(session.logits().begin(), session.logits().end());
      for (std::size_t t = 0; t < logits.size(); ++t)
        if (tiny_model()->is_end(Token(t))) logits[t] = -1e30F;  // answers go on to their limit
      EXPECT_EQ(token, Token(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      session.sequence().decode(token);
    }
    // A plan that would choose after the answer's end has the full cache's answers, to later questions too.
    for (std::size_t question = 0; question < 3; ++question)
      EXPECT_EQ(results.at({2, question}).tokens, results.at({0, question}).tokens);
    EXPECT_EQ(results.at({2, 0}).kept, n);
  }
}

TEST(Sweep, SeparateQuestionsDoNotKnowOfEachOther) {
  Random random;
  Sample asked = sample(random, "1", 40, 3);
  const SweepOptions options = {.query = Query::agnostic, .separate_questions = true};
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=8"}, Texts{"30%"});
  const Results results = swept(asked, plans, options);
  for (std::size_t question = 0; question < 3; ++question) {
    Sample one = asked;
    one.questions = {asked.questions[question]};
    for (const auto& [key, result] : swept(one, plans, options))
      EXPECT_EQ(result, results.at({key.first, question})) << to_string(plans[key.first]) << question;
  }
}

TEST(Sweep, ReadsInPiecesWhereAsked) {
  Random random;
  const Sample asked = sample(random, "1", 80);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=8", "streamingllm"}, Texts{"60"});
  for (const ObserverKind observer : {ObserverKind::question, ObserverKind::window}) {
    const Results results = swept(asked, plans, {.n_cells = 200, .observer = observer});
    EXPECT_EQ(results.at({0, 0}).kept, results.at({0, 0}).prompt);
    for (std::size_t pair = 1; pair < plans.size(); ++pair) {
      Session session(tiny_model(), session_options(256));
      const auto prompt = tokens(asked.prompt(), true);
      const auto n_question = std::int32_t(asked.questions[0].text.size());
      const std::int32_t n = session.sequence().read(
          prompt, {.plan = plans[pair], .observer = observer, .n_question = n_question, .n_cells = 200});
      EXPECT_GT(n, 1);
      EXPECT_EQ(results.at({pair, 0}).kept, session.sequence().n_entries());
      EXPECT_EQ(results.at({pair, 0}).tokens, answer(session)) << to_string(plans[pair]);
    }
  }
}

/// Worked examples that precede every problem are read once, which changes no answer.
TEST(Sweep, ACommonBeginningIsReadOnce) {
  Random random;
  std::vector<Sample> samples;
  const std::string examples = words(random, 120);
  for (const char* id : {"1", "2", "3"}) {
    samples.push_back(sample(random, id, 10));
    samples.back().document = examples + samples.back().document;
  }
  samples.push_back(sample(random, "4", 60));
  std::vector<std::size_t> indices(pairs().size());
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  Sweep all = sweep(pairs(), {});
  std::vector<std::int64_t> first;  // tokens known after the first micro-batch of each sample
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Results results;
    bool begun = false;
    SweepEvents events;
    events.reading = [&](const ReadState& read) {
      if (!begun) first.push_back(read.done);
      begun = true;
      EXPECT_EQ(read.total, tokens(samples[i].prompt(), true).size());
      return true;
    };
    events.answered = [&](const Outcome& outcome) {
      results[{outcome.pair, 0}] = {outcome.prompt_tokens, outcome.kept_tokens, outcome.answer.tokens, {}};
    };
    all.run(samples[i], indices, events, i + 1 < samples.size() ? &samples[i + 1] : nullptr);
    for (std::size_t pair = 0; pair < pairs().size(); ++pair)
      EXPECT_EQ(results.at({pair, 0}), alone(samples[i], pairs()[pair], Query::aware))
          << to_string(pairs()[pair]) << " of sample " << i;
  }
  EXPECT_LE(first[0], 64);
  EXPECT_GT(first[1], 256);
  EXPECT_GT(first[2], 256);
  EXPECT_LE(first[3], 64);
}

TEST(Sweep, AnswersAreHeldToTheBudget) {
  Random random;
  Sample asked = sample(random, "1", 30);
  asked.max_new_tokens = 40;
  const std::vector<Plan> plans =
      make_pairs(Texts{"full", "rkv:window=4", "streamingllm", "h2o"}, Texts{"30", "1000"});
  Sweep held = sweep(plans, {.buffer = 8, .sampling = {.ignore_eos = true}});
  std::vector<std::size_t> indices(plans.size());
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  std::size_t n_answers = 0;
  held.run(asked, indices, {.answered = [&](const Outcome& outcome) {
             const Plan& plan = plans[outcome.pair];
             const bool is_small = plan.budget == Budget::tokens(30);
             EXPECT_EQ(outcome.answer.tokens.size(), 40U);
             EXPECT_EQ(outcome.compressions, is_small ? 39 / 8 : 0) << to_string(plan);
             EXPECT_EQ(outcome.kept_tokens, is_small ? 30 : outcome.prompt_tokens) << to_string(plan);
             ++n_answers;
           }});
  EXPECT_EQ(n_answers, plans.size());

  const Sample two = sample(random, "2", 30, 2);
  expect_mentions(message_of<UsageError>([&] { held.run(two, indices, {}); }), {"several questions"});
  expect_mentions(
      message_of<UsageError>([&] { sweep(make_pairs(Texts{"pyramidkv"}, Texts{"50%"}), {.buffer = 8}); }),
      {"pyramidkv"});
}

TEST(Sweep, AnswersFromACacheOfOtherTypes) {
  Random random;
  const Sample asked = sample(random, "1", 60);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=8"}, Texts{"30%"});
  const auto opens = [](CacheType type) {
    return [type](std::int32_t n_cells) {
      SessionOptions options = session_options(n_cells);
      options.type_k = options.type_v = type;
      return std::make_unique<Session>(tiny_model(), options);
    };
  };
  Sweep converting(tiny_model(), opens(CacheType::f16), plans, {}, opens(CacheType::q8_0));
  const std::size_t indices[] = {0, 1};
  std::size_t n_answers = 0;
  converting.run(asked, indices, {.answered = [&](const Outcome& outcome) {
                   const auto reader = opens(CacheType::f16)(1024), kept = opens(CacheType::q8_0)(1024);
                   reader->sequence().prefill(tokens(asked.prompt(), true), {&plans[outcome.pair], 1});
                   reader->sequence().compress(reader->sequence().selection());
                   const std::vector<float> logits(reader->logits().begin(), reader->logits().end());
                   kept->sequence().restore(kept->converted(reader->sequence().snapshot()));
                   EXPECT_EQ(outcome.bytes_after, kept->sequence().use().bytes_used);
                   std::vector<Token> expected;
                   std::span<const float> now = logits;
                   while (expected.size() < outcome.answer.tokens.size()) {
                     expected.push_back(Token(std::max_element(now.begin(), now.end()) - now.begin()));
                     now = kept->sequence().decode(expected.back());
                   }
                   EXPECT_EQ(outcome.answer.tokens, expected) << to_string(plans[outcome.pair]);
                   ++n_answers;
                 }});
  EXPECT_EQ(n_answers, 2U);
  expect_mentions(message_of<UsageError>([&] {
                    Sweep(tiny_model(), opens(CacheType::f16), make_pairs(Texts{"pyramidkv"}, Texts{"50%"}),
                          {}, opens(CacheType::q8_0));
                  }),
                  {"pyramidkv"});
}

TEST(Sweep, ADocumentMustBeThereToBeCompressedWithoutAQuestion) {
  Random random;
  Sample asked = sample(random, "1", 0);
  EXPECT_EQ(swept(asked, make_pairs(Texts{"full"}, {}), {}).size(), 1U);
  expect_mentions(message_of<UsageError>(
                      [&] { swept(asked, make_pairs(Texts{"full"}, {}), {.query = Query::agnostic}); }),
                  {"sample 1", "--query aware"});
}

TEST(Sweep, AnswersEndAtAStopString) {
  Random random;
  Sample asked = sample(random, "1", 30);
  const std::vector<Plan> plans = make_pairs(Texts{"full"}, {});
  const SweepOptions options = {.sampling = {.ignore_eos = true}};
  const Result whole = swept(asked, plans, options).at({0, 0});
  ASSERT_GT(whole.text.size(), 4U);
  // The first character that is not white space never ends an answer.
  const std::size_t first = whole.text.find_first_not_of(" \n\r\t\v\f");
  asked.stops = {whole.text.substr(first + 2, 2)};
  const std::size_t end = find_stop(whole.text, asked.stops);
  const Result cut = swept(asked, plans, options).at({0, 0});
  EXPECT_EQ(cut.text, whole.text.substr(0, end));
  EXPECT_LT(cut.tokens.size(), whole.tokens.size());
}

}  // namespace
}  // namespace chunkkv::eval
