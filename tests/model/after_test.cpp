// Compression after the first tokens of the answer, whose attention is observed (`after=M`).
#include <chunkkv/fidelity.h>
#include <chunkkv/registry.h>
#include <chunkkv/session.h>
#include <chunkkv/source.h>

#include "metrics/distributions.h"
#include "support/random_input.h"
#include "support/small_cache.h"
#include "support/tiny.h"
#include "support/tiny_model.h"
#include "text/generate.h"
#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNPrompt = 150;

Plan plan(const std::string& spec, std::int32_t budget = 60) {
  return {make_method(spec), Budget::tokens(budget)};
}

/// The share of the entries in `a` that are in `b` as well, over all layers and heads.
double shared(const std::vector<LayerKept>& a, const std::vector<LayerKept>& b) {
  std::size_t same = 0, all = 0;
  for (std::size_t layer = 0; layer < a.size(); ++layer)
    for (std::size_t head = 0; head < a[layer].heads.size(); ++head) {
      const auto &x = a[layer].heads[head], &y = b[layer].heads.at(head);
      std::vector<std::int32_t> common;
      std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(common));
      same += common.size();
      all += x.size();
    }
  return double(same) / double(all);
}

class After : public testing::Test {
 protected:
  After() : random(random_seed()), tokens(random_tokens(random, kNPrompt + 40)) {}
  std::span<const Token> prompt() const { return std::span(tokens).first(kNPrompt); }
  Token answer(std::size_t i) const { return tokens[kNPrompt + i]; }

  /// Draws prompts until the full cache answers one by `n` tokens and more.
  void draw_prompt_with_answer(std::int32_t n) {
    for (;; tokens = random_tokens(random, kNPrompt + 40)) {
      Session session(tiny(), cells(256));
      session.sequence().prefill(prompt());
      text::Sampler greedy(*tiny(), {.temperature = 0});
      if (generate(session.sequence(), session.logits(), greedy, {.n_predict = n}).stop == text::Stop::limit)
        return;
    }
  }

  std::mt19937 random;
  std::vector<Token> tokens;
};

TEST_F(After, ChoosesAsAPromptWhoseWindowEndsInTheSameTokens) {
  const std::pair<std::string, std::string> same[] = {
      {"snapkv:window=8,after=12", "snapkv:window=20"},
      {"snapkv:window=8,group=max,pool=max,vnorm=1,spread=1,after=12",
       "snapkv:window=20,group=max,pool=max,vnorm=1,spread=1"},
      {"chunkkv:window=8,after=12,rule=exact,reuse=2", "chunkkv:window=20,rule=exact,reuse=2"},
      {"rkv:window=8,lambda=1,after=12", "rkv:window=20,lambda=1"},
      {"hybrid:window=8,recent=8,diversity=0,after=12", "hybrid:window=20,recent=20,diversity=0,after=0"}};
  for (const auto& [after, before] : same) {
    const Plan observing = plan(after, 60), reading = plan(before, 72);
    Session steps(tiny(), cells(256, CacheType::f32)), whole(tiny(), cells(256, CacheType::f32));
    whole.sequence().prefill(std::span(tokens).first(kNPrompt + 12), {&reading, 1});
    steps.sequence().prefill(prompt(), {&observing, 1});
    for (std::size_t i = 0; i < 12; ++i) {
      EXPECT_FALSE(steps.sequence().has_chosen());
      steps.sequence().decode(answer(i));
    }
    ASSERT_TRUE(steps.sequence().has_chosen()) << after;
    const Selection& chosen = steps.sequence().selection();
    EXPECT_EQ(chosen.n_entries, kNPrompt);
    EXPECT_EQ(chosen.after, 12);
    EXPECT_EQ(chosen.n_kept, 60);
    std::vector<LayerKept> expected = whole.sequence().selection().layers;
    for (LayerKept& layer : expected)
      for (auto& list : layer.heads) {
        ASSERT_EQ(list.size(), 72U);
        ASSERT_EQ(list[60], kNPrompt);  // the 12 tokens of the answer end that window
        list.resize(60);
      }
    // Single steps round in another way than a batch: scores that nearly tie may change places.
    EXPECT_GE(shared(chosen.layers, expected), 0.98) << after;
    // The answer matters: without it another set is chosen.
    const Plan alone = plan(after.substr(0, after.find(':')) + ":window=8");
    Session without(tiny(), cells(256, CacheType::f32));
    Plan at_once = observing;
    at_once.at_once = true;
    without.sequence().prefill(prompt(), {&at_once, 1});
    EXPECT_LT(shared(chosen.layers, without.sequence().selection().layers), 0.98) << after;
  }
}

TEST_F(After, PlansTogetherChooseWhatEachChoosesAlone) {
  std::vector<Plan> plans;
  for (const char* spec : {"snapkv:window=8", "snapkv:window=8,after=4", "hybrid:after=12", "hybrid:after=4",
                           "chunkkv:window=8,after=12,reuse=2", "rkv:window=8,after=6",
                           "rkv:window=4,after=6", "h2o", "tova:after=3", "keydiff"})
    plans.push_back(plan(spec));
  Session together(tiny(), cells(256));
  together.sequence().prefill(prompt(), plans);
  for (std::size_t i = 0; i < 12; ++i) together.sequence().decode(answer(i));
  for (std::size_t p = 0; p < plans.size(); ++p) {
    Session alone(tiny(), cells(256));
    alone.sequence().prefill(prompt(), {&plans[p], 1});
    for (std::size_t i = 0; i < 12; ++i) alone.sequence().decode(answer(i));
    EXPECT_EQ(together.sequence().selection(p).layers, alone.sequence().selection().layers)
        << plans[p].method->spec();
  }
}

TEST_F(After, TheFirstTokensComeFromTheFullCacheAndThenItIsCompressed) {
  const Plan observing = plan("hybrid:after=10");
  Session full(tiny(), cells(256)), session(tiny(), cells(256));
  full.sequence().prefill(prompt());
  session.sequence().prefill(prompt(), {&observing, 1});
  session.sequence().compress_when_chosen();
  EXPECT_EQ(copy(session.logits()), copy(full.logits()));
  for (std::int32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(session.sequence().n_until_compression(), std::max(0, 10 - i));
    EXPECT_EQ(session.sequence().n_entries(), i < 10 ? kNPrompt + i : 60 + i);
    const std::vector<float> expected = copy(full.sequence().decode(answer(std::size_t(i))));
    const std::vector<float> actual = copy(session.sequence().decode(answer(std::size_t(i))));
    if (i < 10)
      ASSERT_EQ(actual, expected) << i;
    else
      EXPECT_NE(actual, expected) << i;
  }
  EXPECT_EQ(session.sequence().n_compressions(), 1);
  EXPECT_EQ(session.sequence().next_position(), kNPrompt + 20);
  for (std::int32_t layer = 0; layer < 3; ++layer)
    for (std::int32_t head = 0; head < 2; ++head) {
      const auto positions = session.sequence().positions(layer, head);
      ASSERT_EQ(positions.size(), 80U);
      for (std::int32_t i = 0; i < 20; ++i) EXPECT_EQ(positions[std::size_t(60 + i)], kNPrompt + i);
    }
}

TEST_F(After, ChangesCancelTheChoice) {
  const Plan observing = plan("snapkv:window=8,after=6");
  const std::pair<const char*, std::function<void(Session&)>> between[] = {
      {"clear", [&](Session& s) { s.sequence().clear(), s.sequence().prefill(prompt().first(20)); }},
      {"truncate", [&](Session& s) { s.sequence().truncate(kNPrompt + 1); }},
      {"evaluate", [&](Session& s) { s.sequence().evaluate(prompt().first(2), [](std::size_t, auto) {}); }},
      {"prefill", [&](Session& s) { s.sequence().prefill(prompt().first(9)); }},
      {"restore", [&](Session& s) { s.sequence().restore(s.sequence().snapshot()); }},
  };
  for (const auto& [name, change] : between) {
    Session session(tiny(), cells(512));
    session.sequence().prefill(prompt(), {&observing, 1});
    session.sequence().compress_when_chosen();
    for (std::size_t i = 0; i < 3; ++i) session.sequence().decode(answer(i));
    change(session);
    EXPECT_EQ(session.sequence().n_until_compression(), 0) << name;
    for (std::size_t i = 0; i < 10; ++i) session.sequence().decode(answer(i));
    EXPECT_EQ(session.sequence().n_compressions(), 0) << name;
    EXPECT_FALSE(session.sequence().has_chosen()) << name;
    EXPECT_THROW(session.sequence().selection(), UsageError) << name;
  }
  Session session(tiny(), cells(512));
  session.sequence().prefill(prompt(), {&observing, 1});
  expect_mentions(message_of<UsageError>([&] { session.sequence().selection(); }),
                  {"plan 0", "first tokens of the answer"});
  expect_mentions(message_of<UsageError>([&] { session.sequence().compress_when_chosen(1); }), {"no plan 1"});
}

/// The answer is generated from the full cache first, and then again, compressed after its sixth token.
TEST_F(After, AChoiceStandsWhenTheAnswerIsWrittenAgain) {
  const Plan observing = plan("snapkv:window=8,after=6");
  Session session(tiny(), cells(256));
  session.sequence().prefill(prompt(), {&observing, 1});
  for (std::size_t i = 0; i < 9; ++i) session.sequence().decode(answer(i));
  session.sequence().truncate(kNPrompt);
  session.sequence().compress_when_chosen();
  EXPECT_EQ(session.sequence().n_until_compression(), 6);
  for (std::size_t i = 0; i < 9; ++i) session.sequence().decode(answer(i));
  EXPECT_EQ(session.sequence().n_entries(), 60 + 9);
  Session once(tiny(), cells(256));
  once.sequence().prefill(prompt(), {&observing, 1});
  once.sequence().compress_when_chosen();
  for (std::size_t i = 0; i < 9; ++i) once.sequence().decode(answer(i));
  for (std::int32_t layer = 0; layer < 3; ++layer)
    EXPECT_EQ(session.sequence().positions(layer, 1), once.sequence().positions(layer, 1));
}

TEST_F(After, SequencesInOneStepObserveTheirOwnAnswers) {
  const Plan plans[] = {plan("hybrid:window=8,after=5"), plan("snapkv:window=8,after=7"),
                        plan("snapkv:window=8")};
  SessionOptions options = cells(1024, CacheType::f32);
  options.n_sequences = 3;
  Session together(tiny(), options);
  std::vector<std::vector<Token>> prompts;
  for (SequenceId s = 0; s < 3; ++s) {
    prompts.push_back(random_tokens(random, kNPrompt + 7 * s));
    together.sequence(s).prefill(prompts.back(), {&plans[s], 1});
    together.sequence(s).compress_when_chosen(0);
  }
  const std::vector<SequenceId> order = {2, 0, 1};
  for (std::size_t i = 0; i < 9; ++i) {
    std::vector<Token> step;
    for (const SequenceId s : order) step.push_back(answer(3 * i + std::size_t(s)));
    together.decode(step, order, [](std::size_t, auto) {});
  }
  for (SequenceId s = 0; s < 3; ++s) {
    Session alone(tiny(), cells(256, CacheType::f32));
    alone.sequence().prefill(prompts[std::size_t(s)], {&plans[s], 1});
    alone.sequence().compress_when_chosen();
    for (std::size_t i = 0; i < 9; ++i) alone.sequence().decode(answer(3 * i + std::size_t(s)));
    EXPECT_EQ(together.sequence(s).n_entries(), 60 + 9);
    EXPECT_EQ(alone.sequence().n_entries(), 60 + 9);
    EXPECT_GE(shared(together.sequence(s).selection(0).layers, alone.sequence().selection().layers), 0.98)
        << s;
  }
}

TEST_F(After, APromptInPiecesObservesInTheLastRoundOnly) {
  const Plan observing = plan("hybrid:window=8,recent=8,after=12", 50);
  for (const std::int32_t n_cells : {110, 160, 162, 400}) {
    Session session(tiny(), cells(400));
    const std::int32_t n = session.sequence().read(
        prompt(), {.plan = observing, .observer = ObserverKind::window, .n_cells = n_cells, .piece = 32});
    EXPECT_EQ(n == 0, n_cells >= kNPrompt + 12) << n_cells;
    ASSERT_EQ(session.sequence().n_until_compression(), 12);
    for (std::size_t i = 0; i < 12; ++i) {
      ASSERT_LT(session.sequence().n_entries(), n_cells);
      session.sequence().decode(answer(i));
    }
    EXPECT_EQ(session.sequence().n_compressions(), n + 1);
    EXPECT_EQ(session.sequence().n_entries(), 50 + 12);
  }
  Session small(tiny(), cells(256));
  EXPECT_THROW(small.sequence().read(prompt(), {.plan = observing, .n_cells = 60, .piece = 8}), UsageError);
}

TEST_F(After, CompressionWhileDecodingBeginsAfterThat) {
  const Plan observing = plan("snapkv:window=8,after=6");
  Session session(tiny(), cells(256));
  session.sequence().prefill(prompt(), {&observing, 1});
  session.sequence().compress_when_chosen();
  session.sequence().compress_while_decoding(observing, 20);
  for (std::size_t i = 0; i < 6; ++i) session.sequence().decode(answer(i));
  EXPECT_EQ(session.sequence().n_compressions(), 1);
  for (std::size_t i = 6; i < 40; ++i) {
    session.sequence().decode(answer(i));
    EXPECT_LT(session.sequence().n_entries(), 80);
  }
  // There were 80 entries after 14 more steps, and again after 20 more.
  EXPECT_EQ(session.sequence().n_compressions(), 3);
}

TEST_F(After, ASourceChoosesAsAPromptReadAtOnce) {
  const Plan observing = plan("hybrid:window=8,after=6");
  const auto document = random_tokens(random, 400), question = random_tokens(random, 20);
  Session whole(tiny(), cells(512)), asked(tiny(), cells(512));
  std::vector<Token> both = document;
  both.insert(both.end(), question.begin(), question.end());
  whole.sequence().prefill(both, {&observing, 1});
  whole.sequence().compress_when_chosen();
  Source source(asked.sequence(), document, observing);
  for (int round = 0; round < 2; ++round) {
    source.ask(question);
    EXPECT_EQ(asked.sequence().n_until_compression(), 6);
    for (std::size_t i = 0; i < 6; ++i) asked.sequence().decode(answer(i));
    EXPECT_EQ(asked.sequence().n_entries(), 66);
  }
  for (std::size_t i = 0; i < 6; ++i) whole.sequence().decode(answer(i));
  EXPECT_GE(shared(asked.sequence().selection().layers, whole.sequence().selection().layers), 0.98);
}

TEST_F(After, FidelityCountsTheFirstTokensAsTheFullCaches) {
  draw_prompt_with_answer(24);
  const Plan plans[] = {plan("snapkv:window=8"), plan("snapkv:window=8,after=6"),
                        plan("hybrid:after=900", 60)};
  Session session(tiny(), cells(256));
  const auto all =
      measure_fidelity(session.sequence(), prompt(), plans, {.n_tokens = 24, .skip = 6, .progress = {}});
  EXPECT_EQ(all[0].after, 0);
  EXPECT_EQ(all[1].after, 6);
  EXPECT_EQ(all[0].n_kept, 60);
  EXPECT_EQ(all[1].n_kept, 60);
  for (const Fidelity& f : all) EXPECT_EQ(f.n_rest, f.n_tokens - 6);
  ASSERT_GT(all[0].n_tokens, 10);
  EXPECT_GT(all[0].kl, 0);
  EXPECT_NEAR(all[1].kl * all[1].n_tokens, all[1].kl_rest * all[1].n_rest, 1e-4);
  for (const Fidelity& f : all) {
    ASSERT_EQ(std::int32_t(f.kl_of.size()), f.n_tokens);
    EXPECT_NEAR(std::accumulate(f.kl_of.begin(), f.kl_of.end(), 0.0), f.kl * f.n_tokens, 1e-9);
  }
  // The first six predictions come from the full cache twice; from the seventh on one cache is compressed.
  EXPECT_NEAR(*std::max_element(all[1].kl_of.begin(), all[1].kl_of.begin() + 6), 0, 1e-4);
  // The answer ended before this plan chose.
  EXPECT_EQ(all[2].after, -1);
  EXPECT_EQ(all[2].n_kept, kNPrompt);
  EXPECT_LT(all[2].kl, 1e-4);
  EXPECT_EQ(all[2].attention_mass[1], 1);

  // The same by hand: the full cache's answer, and its tokens decoded in a session that compresses.
  Session full(tiny(), cells(256)), kept(tiny(), cells(256));
  full.sequence().prefill(prompt());
  kept.sequence().prefill(prompt(), {&plans[1], 1});
  kept.sequence().compress_when_chosen();
  double kl = 0;
  std::span<const float> logits = full.logits();
  for (std::int32_t i = 0; i < all[1].n_tokens; ++i) {
    const auto token = Token(most_likely(logits));
    const auto q = log_softmax(kept.sequence().decode(token));
    logits = full.sequence().decode(token);
    kl += kl_divergence(log_softmax(logits), q);
  }
  EXPECT_NEAR(all[1].kl * all[1].n_tokens, kl, 1e-3 + 0.05 * kl);
}

TEST_F(After, FidelityReadsTheQuestionIntoTheCompressedCache) {
  const Plan plans[] = {plan("full"), plan("hybrid:queries=all,recent=8"), plan("hybrid:window=8")};
  const auto question = random_tokens(random, 13);
  Session session(tiny(), cells(256));
  const auto all = measure_fidelity(session.sequence(), prompt(), plans,
                                    {.n_tokens = 12, .question = question, .progress = {}});
  EXPECT_LT(all[0].kl, 1e-4);
  EXPECT_EQ(all[2].after, 0);  // no answer follows the document

  Session full(tiny(), cells(256)), kept(tiny(), cells(256));
  full.sequence().prefill(prompt());
  full.sequence().prefill(question);
  kept.sequence().prefill(prompt(), {&plans[1], 1});
  kept.sequence().compress(kept.sequence().selection());
  kept.sequence().prefill(question);
  double kl = 0;
  std::vector<float> p = copy(full.logits()), q = copy(kept.logits());
  for (std::int32_t i = 0; i < all[1].n_tokens; ++i) {
    kl += kl_divergence(log_softmax(p), log_softmax(q)) / all[1].n_tokens;
    const auto token = Token(most_likely(p));
    p = copy(full.sequence().decode(token));
    q = copy(kept.sequence().decode(token));
  }
  EXPECT_NEAR(all[1].kl, kl, 1e-3 + 0.05 * kl);
}

TEST_F(After, APausedAnswerGoesOnAsIfItHadNotPaused) {
  for (const float temperature : {0.0F, 1.5F}) {
    const text::Sampling sampling{.temperature = temperature, .seed = 5, .ignore_eos = true};
    Session session(tiny(), cells(256));
    session.sequence().prefill(prompt());
    const std::vector<float> logits = copy(session.logits());
    text::Sampler plain(*tiny(), sampling), first(*tiny(), sampling);
    const text::Answer whole = text::generate(session.sequence(), logits, plain, {.n_predict = 30});
    session.sequence().truncate(kNPrompt);
    std::string emitted;
    const auto emit = [&](std::string_view piece) { emitted += piece; };
    text::Answer part =
        text::generate(session.sequence(), logits, first, {.n_predict = 30, .emit = emit, .pause_after = 11});
    ASSERT_EQ(part.stop, text::Stop::pause);
    EXPECT_EQ(part.tokens.size(), 11U);
    EXPECT_EQ(session.sequence().n_entries(), kNPrompt + 11);
    const Snapshot there = session.sequence().snapshot();
    const std::vector<float> next = copy(session.logits());
    text::Sampler copied(first);
    const text::Answer rest =
        text::go_on(session.sequence(), next, first, part, {.n_predict = 30, .emit = emit});
    EXPECT_EQ(rest.tokens, whole.tokens);
    EXPECT_EQ(rest.text, whole.text);
    EXPECT_EQ(rest.text, emitted);
    EXPECT_EQ(rest.stop, whole.stop);
    Session elsewhere(tiny(), cells(256));
    elsewhere.sequence().restore(there);
    EXPECT_EQ(text::go_on(elsewhere.sequence(), next, copied, part, {.n_predict = 30}).tokens, whole.tokens);
    // An answer that has ended comes back as it is.
    EXPECT_EQ(text::go_on(session.sequence(), next, first, whole, {.n_predict = 99}).tokens, whole.tokens);
  }
}

}  // namespace
}  // namespace chunkkv::test
