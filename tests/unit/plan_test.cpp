// How a plan is resolved: budgets, protection, floors and windows that shrink.
#include <chunkkv/error.h>
#include <chunkkv/plan.h>
#include <chunkkv/registry.h>

#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv {
namespace {

using test::expect_mentions;
using test::message_of;
using test::Random;

Plan plan(const char* spec, const char* keep) {
  Plan plan;
  plan.method = make_method(spec);
  plan.budget = Budget::parse(keep);
  return plan;
}

Plan fitting(const char* spec, const char* keep) {
  Plan fitted = plan(spec, keep);
  fitted.fit_window = true;
  return fitted;
}

TEST(Plan, SharesAreOfWhatWasReadAndNumbersAreCutToWhatIsThere) {
  EXPECT_EQ(plan("knorm", "10%").at(1000, 1000, 2).target.budget, 100);
  EXPECT_EQ(plan("knorm", "10%").at(1000, 400, 2).target.budget, 100);
  EXPECT_EQ(plan("knorm", "50%").at(1000, 400, 2).target.budget, 400);
  EXPECT_EQ(plan("knorm", "50").at(20, 20, 2).target.budget, 20);
  EXPECT_EQ(plan("knorm", "10%").at(1000, 1000, 2).target.share, 0.1);
  EXPECT_EQ(plan("knorm", "10%").at(1000, 400, 2).target.share, 0.25);
  EXPECT_EQ(plan("knorm", "50").n_to_keep(20), 50);
  const ResolvedPlan full = plan("full", "10%").at(1000, 400, 3);
  EXPECT_TRUE(full.keeps_all());
  EXPECT_EQ(full.layers.size(), 3U);
}

TEST(Plan, ProtectionIsTheLargerOfTheMethodsAndThePlans) {
  Plan wanted = plan("snapkv:window=8", "50");
  wanted.protect_first = 5;
  EXPECT_EQ(wanted.at(100, 100, 2).layers.at(1).rule.first, 5);
  EXPECT_EQ(wanted.at(100, 100, 2).layers.at(1).rule.last, 8);
  wanted.protect_last = 12;
  EXPECT_EQ(wanted.at(100, 100, 2).layers.at(0).rule.last, 12);
  wanted.protect_first = 39;
  expect_mentions(message_of<UsageError>([&] { wanted.at(100, 100, 2); }), {"50", "51", "39", "12"});
  wanted.protect_first = -1;
  EXPECT_THROW(wanted.at(100, 100, 2), UsageError);
}

TEST(Plan, NeedsAMethod) {
  expect_mentions(message_of<UsageError>([] { Plan().at(10, 10, 1); }), {"method"});
}

TEST(Plan, AFloorKeepsShortPromptsWhole) {
  Plan wanted = plan("snapkv:window=8", "10%");
  wanted.keep_at_least = 256;
  const ResolvedPlan whole = wanted.at(27, 27, 1);
  EXPECT_TRUE(whole.keeps_all());
  EXPECT_EQ(whole.share_alone, 2);
  EXPECT_EQ(whole.target.share, 1.0);
  EXPECT_EQ(wanted.at(1000, 1000, 1).target.budget, 256);
  EXPECT_EQ(wanted.at(1000, 1000, 1).target.share, 0.256);
  EXPECT_EQ(wanted.at(2560, 2560, 1).share_alone, 0);
  EXPECT_EQ(wanted.at(5000, 5000, 1).target.budget, 500);
  wanted.budget = Budget::tokens(100);  // the floor is for shares only
  EXPECT_EQ(wanted.at(1000, 1000, 1).target.budget, 100);
  EXPECT_EQ(wanted.at(1000, 1000, 1).share_alone, 0);
}

TEST(Plan, AWindowShrinksToHalfOfABudgetSmallerThanTwiceIt) {
  EXPECT_EQ(fitting("snapkv:window=32", "64").at(200, 200, 1).window, 0);
  const ResolvedPlan small = fitting("snapkv:window=32", "63").at(200, 200, 2);
  EXPECT_EQ(small.window, 31);
  EXPECT_EQ(small.asked_window, 32);
  EXPECT_EQ(small.method->spec(), "snapkv:window=31");
  EXPECT_EQ(small.method->request().window, 31);
  EXPECT_EQ(small.layers.at(1).rule.last, 31);
  EXPECT_EQ(small.target.budget, 63);
  EXPECT_EQ(fitting("snapkv:window=32,kernel=7", "17").at(89, 89, 1).method->spec(),
            "snapkv:window=8,kernel=7");
  EXPECT_EQ(fitting("hybrid:window=16,recent=32", "40").at(200, 200, 1).layers.front().rule.last, 20);
  EXPECT_EQ(fitting("hybrid:window=16,recent=32", "40").at(200, 200, 1).method->request().window, 16);
  EXPECT_EQ(fitting("hybrid:window=16,recent=32", "20").at(200, 200, 1).method->request().window, 10);
  EXPECT_EQ(fitting("tova", "1").at(200, 200, 1).window, 0);
  EXPECT_EQ(fitting("snapkv", "100%").at(20, 20, 1).window, 0) << "nothing is dropped";
  EXPECT_EQ(plan("snapkv", "33").at(200, 200, 1).window, 0) << "not asked for";
  EXPECT_THROW(plan("snapkv", "17").at(89, 89, 1), UsageError);
}

TEST(Plan, LayerBudgetsFollowTheSmallWindow) {
  const ResolvedPlan resolved = fitting("pyramidkv:window=32,beta=2", "40").at(200, 200, 5);
  EXPECT_EQ(resolved.window, 20);
  std::int32_t total = 0;
  for (const LayerTarget& layer : resolved.layers) {
    EXPECT_GE(layer.target.budget, 20);
    EXPECT_EQ(layer.rule.last, 20);
    total += layer.target.budget;
  }
  EXPECT_EQ(total, 5 * 40);
  EXPECT_GT(resolved.layers.front().target.budget, resolved.layers.back().target.budget);
}

// No prompt is too short and no budget too small for any method. Where a window shrinks, the resolved method
// is one that was made with the smaller window.
TEST(Plan, EveryMethodFitsIntoEveryBudget) {
  Random random;
  int shrunk = 0;
  for (const MethodInfo& info : methods()) {
    std::vector<std::string> specs = {info.name};
    for (const ParameterInfo& parameter : info.parameters)
      for (const std::string& choice : parameter.choices)
        specs.push_back(fmt::format("{}:{}={}", info.name, parameter.name, choice));
    for (const std::string& spec : specs) {
      for (int i = 0; i < 200; ++i) {
        const std::int32_t n = random.integer(1, random.chance(0.3F) ? 5 : 300);
        const std::int32_t n_keep = random.integer(1, n);
        SCOPED_TRACE(fmt::format("{}: {} of {}", spec, n_keep, n));
        Plan wanted = fitting(spec.c_str(), std::to_string(n_keep).c_str());
        if (random.chance(0.5F)) wanted.budget = Budget::fraction(double(n_keep) / n);
        const ResolvedPlan resolved = wanted.at(n, n, 4);
        const std::int32_t window = wanted.method->request().window;
        if (wanted.method->request().queries != Queries::window) {
          EXPECT_EQ(resolved.window, 0);
        } else if (resolved.target.budget < std::min(2 * window, n) && window > 1) {
          ++shrunk;
          EXPECT_LE(resolved.window, std::max(1, resolved.target.budget / 2));
          EXPECT_EQ(resolved.method->request().window, resolved.window);
          if (info.name != "chunkkv") {
            EXPECT_EQ(resolved.window, std::max(1, resolved.target.budget / 2));
          }
        }
        for (const LayerTarget& layer : resolved.layers) {
          const std::vector<float> scores(std::size_t(n), 0.5F);
          EXPECT_FALSE(select(scores, layer.target, layer.rule).empty());
        }
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(shrunk, 500);
}

class Mine final : public Method {
 public:
  ObservationRequest request() const override {
    ObservationRequest request;
    request.queries = Queries::window;
    request.window = 32;
    return request;
  }
  Scores score(const LayerObservation& observation) const override {
    return {1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
  }
  SelectionRule rule(const Target&) const override { return {.first = 4, .last = 32}; }
};

TEST(Plan, AMethodOfOnesOwnHasASpecAndFitsAsWell) {
  const auto mine = std::make_shared<Mine>();
  mine->set_spec("mine:depth=3");
  EXPECT_EQ(mine->spec(), "mine:depth=3");
  EXPECT_EQ(mine->with_window(8), nullptr);
  Plan wanted{mine, Budget::tokens(10)};
  EXPECT_THROW(wanted.at(100, 100, 1), UsageError);
  wanted.fit_window = true;
  const ResolvedPlan resolved = wanted.at(100, 100, 1);
  EXPECT_EQ(resolved.method, mine);
  EXPECT_LE(resolved.layers.front().rule.first + resolved.layers.front().rule.last, 10);
}

}  // namespace
}  // namespace chunkkv
