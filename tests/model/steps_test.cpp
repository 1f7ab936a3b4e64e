// Prompts that are read a micro-batch at a time, with other sequences' work in between.
#include <chunkkv/registry.h>
#include <chunkkv/session.h>

#include "support/exact_attention.h"
#include "support/random_input.h"
#include "support/relative_difference.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace chunkkv::test {
namespace {

constexpr std::int32_t kNSteps = 400;

class Steps : public testing::TestWithParam<const char*> {
 protected:
  static SessionOptions options() {
    SessionOptions options;
    options.n_cells = 2048;
    options.n_ubatch = 64;
    options.n_threads = 1;
    options.n_sequences = 3;
    return options;
  }
  std::shared_ptr<Model> model_ = Model::load(write_tiny_model({}, tiny_folder()), exact_attention());
  std::mt19937 random_{random_seed()};
};

std::vector<float> copied(std::span<const float> values) {
  return {values.begin(), values.end()};
}

/// Share of the positions that both keep, over all layers and heads.
double agreement(const Session& a, SequenceId in_a, const Session& b, SequenceId in_b) {
  double common = 0, all = 0;
  for (std::int32_t layer = 0; layer < a.n_layers(); ++layer)
    for (std::int32_t head = 0; head < a.cache_parts().n_head_kv[std::size_t(layer)]; ++head) {
      const auto x = a.sequence(in_a).positions(layer, head), y = b.sequence(in_b).positions(layer, head);
      std::vector<Position> both;
      std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(both));
      common += double(both.size());
      all += double(std::max(x.size(), y.size()));
    }
  return common / all;
}

TEST_P(Steps, TwoPromptsInTurnAreReadAsAlone) {
  const auto first = random_tokens(random_, kNSteps), second = random_tokens(random_, kNSteps - 90),
             third = random_tokens(random_, 40);
  const Plan plan{make_method(GetParam()), Budget::parse("30%")};
  Session alone(model_, options()), turns(model_, options());
  std::vector<std::vector<float>> expected;
  for (SequenceId s : {0, 1}) {
    alone.sequence(s).prefill(s == 0 ? first : second, {&plan, 1});
    expected.push_back(copied(alone.logits()));
    alone.sequence(s).compress(alone.sequence(s).selection(0));
  }
  ASSERT_GT(relative_difference(expected[0], expected[1]), 0.3);

  turns.sequence(2).prefill(third);
  turns.sequence().start_prefill(first, {&plan, 1});
  turns.sequence(1).start_prefill(second, {&plan, 1});
  int n_steps = 0;
  for (bool goes_on = true; goes_on; ++n_steps) {
    goes_on = false;
    for (SequenceId s : {0, 1}) {
      if (turns.sequence(s).reading().total == 0) continue;
      const bool is_open = turns.sequence(s).step();
      goes_on = goes_on || is_open;
      if (!is_open) {
        EXPECT_LT(relative_difference(expected[std::size_t(s)], turns.logits()), 1e-2);
        turns.sequence(s).compress(turns.sequence(s).selection(0));
      }
      turns.sequence(2).decode(Token(7 + n_steps));
    }
  }
  EXPECT_GT(n_steps, 4);
  for (SequenceId s : {0, 1}) {
    EXPECT_EQ(turns.sequence(s).n_entries(), alone.sequence(s).n_entries());
    EXPECT_GT(agreement(alone, s, turns, s), 0.95);  // cells lie elsewhere, sums are rounded otherwise
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, Steps,
                         testing::Values("chunkkv:window=16", "snapkv:window=16", "h2o", "rkv:window=16",
                                         "keydiff"),
                         [](const auto& info) {
                           const std::string spec = info.param;
                           return spec.substr(0, spec.find(':'));
                         });

class StepsThatEnd : public Steps {};

TEST_F(StepsThatEnd, APromptInPiecesIsReadAsInOneCall) {
  const auto tokens = random_tokens(random_, kNSteps);
  const Reading reading{.plan = {make_method("chunkkv:window=16"), Budget::tokens(80)},
                        .observer = ObserverKind::both,
                        .n_question = 20,
                        .n_cells = 200};
  Session at_once(model_, options()), steps(model_, options());
  const std::int32_t n = at_once.sequence().read(tokens, reading);
  steps.sequence().start_read(tokens, reading);
  std::int64_t done = 0;
  while (steps.sequence().step()) {
    EXPECT_GE(steps.sequence().reading().done, done);
    done = steps.sequence().reading().done;
    EXPECT_EQ(steps.sequence().reading().total, kNSteps);
  }
  EXPECT_EQ(steps.sequence().n_compressions(), n);
  EXPECT_EQ(agreement(at_once, 0, steps, 0), 1);
  EXPECT_EQ(copied(at_once.sequence().decode(5)), copied(steps.sequence().decode(5)));
}

TEST_F(StepsThatEnd, AChangeOfTheSequenceEndsItsReading) {
  const auto tokens = random_tokens(random_, kNSteps);
  const std::function<void(Session&)> changes[] = {
      [](Session& s) { s.sequence().decode(3); },
      [](Session& s) { s.sequence().clear(); },
      [](Session& s) { s.sequence().truncate(10); },
      [](Session& s) { s.sequence().restore(s.sequence().snapshot()); },
      [&](Session& s) { s.sequence().prefill(std::span(tokens).first(9)); },
  };
  for (const auto& change : changes) {
    Session session(model_, options());
    const Plan plan{make_method("snapkv:window=16"), Budget::tokens(50)};
    session.sequence().start_prefill(tokens, {&plan, 1});
    ASSERT_TRUE(session.sequence().step());
    EXPECT_EQ(session.sequence().n_entries(), 64);
    change(session);
    EXPECT_EQ(session.sequence().reading().total, 0);
    EXPECT_FALSE(session.sequence().step());
  }
}

TEST_F(StepsThatEnd, TooFewCellsAreAnErrorAndWhatWasReadStays) {
  SessionOptions small = options();
  small.n_cells = 512;
  Session session(model_, small);
  session.sequence().start_prefill(random_tokens(random_, 400));
  ASSERT_TRUE(session.sequence().step());
  session.sequence(1).prefill(random_tokens(random_, 300));
  const auto read_all = [&] {
    while (session.sequence().step()) continue;
  };
  EXPECT_THROW(read_all(), Error);
  EXPECT_EQ(session.sequence().reading().total, 0);
  EXPECT_GE(session.sequence().n_entries(), 64);
  session.sequence(1).clear();
  session.sequence().decode(5);  // goes on from what was read
}

}  // namespace
}  // namespace chunkkv::test
