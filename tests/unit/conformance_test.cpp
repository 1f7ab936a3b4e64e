#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include "unit/host_rows.h"
#include "unit/random_seed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace chunkkv {
namespace {

using Indices = std::vector<std::int32_t>;

/// Every method with its defaults, and with each parameter changed on its own.
std::vector<std::string> specs() {
  std::vector<std::string> all;
  for (const auto& info : methods()) {
    all.push_back(info.name);
    for (const auto& parameter : info.parameters) {
      std::vector<std::string> values = parameter.choices;
      if (parameter.kind == ParameterInfo::Kind::integer) values = {"0", "1", "2", "7", "40"};
      if (parameter.kind == ParameterInfo::Kind::real) values = {"0", "0.3", "1"};
      for (const auto& value : values) {
        const std::string spec = info.name + ":" + parameter.name + "=" + value;
        try {
          make_method(spec);
        } catch (const UsageError&) {
          continue;  // out of this parameter's range
        }
        all.push_back(spec);
      }
    }
  }
  return all;
}

std::vector<float> random_values(test::Random& random, std::int32_t rows, std::int32_t n, float low,
                                 float high) {
  std::vector<float> values(std::size_t(rows) * std::size_t(n));
  for (float& value : values) value = low + (high - low) * random.real();
  return values;
}

/// An observation of random numbers, as the engine gives it to a method that asks for `request`.
LayerObservation random_observation(test::Random& random, const ObservationRequest& request, std::int32_t n) {
  LayerObservation o;
  o.layer = random.integer(0, 40);
  o.n_entries = n;
  o.n_head_kv = random.integer(1, 3);
  o.n_head = o.n_head_kv * random.integer(1, 4);
  if (request.queries != Queries::none) {
    o.n_queries = request.queries == Queries::all ? n : std::min(n, request.window);
    const bool per_kv_head = request.attention == AttentionKind::group_max_past;
    o.attention =
        random_values(random, per_kv_head ? o.n_head_kv : o.n_head, n, 0, float(o.n_queries) / float(n));
  }
  const auto rows = [&] {
    const std::int32_t width = random.integer(1, 8);
    return std::make_shared<test::HostRows>(random_values(random, n * o.n_head_kv, width, -3, 3), o.n_head_kv,
                                            width);
  };
  if (request.keys) o.keys = rows();
  if (request.values) o.values = rows();
  if (request.value_norms) o.value_norms = random_values(random, o.n_head_kv, n, 0, 10);
  if (request.key_norms) o.key_norms = random_values(random, o.n_head_kv, n, 0, 100);
  if (request.key_similarity) o.key_similarity = random_values(random, o.n_head_kv, n, -1, 1);
  if (request.redundancy_threshold) o.redundancy = random_values(random, o.n_head_kv, n, -1, 1);
  return o;
}

Target random_target(test::Random& random, const Method& method, std::int32_t n) {
  const std::int32_t budget = method.keeps_all() ? n : random.integer(1, n);
  return {n, budget, double(budget) / n};
}

std::int32_t protected_entries(const SelectionRule& rule, std::int32_t n) {
  return std::min(n, rule.first + rule.last);
}

/// Runs `check(method, observation, target, rule)` for every spec over random observations.
template <class Check>
void for_random_cases(Check&& check) {
  test::Random random;
  for (const auto& spec : specs())
    for (int round = 0; round < 60; ++round) {
      const auto method = make_method(spec);
      const std::int32_t n = random.integer(1, random.chance(0.2f) ? 5 : 150);
      const auto observation = random_observation(random, method->request(), n);
      const Target target = random_target(random, *method, n);
      SelectionRule rule = method->rule(target);
      if (random.chance(0.3f))
        rule.first = std::max(rule.first, random.integer(0, 10));  // as Plan::protect_first does
      SCOPED_TRACE(fmt::format("{}, round {}: {} of {} tokens", spec, round, target.budget, n));
      check(*method, observation, target, rule);
      if (testing::Test::HasFailure()) return;
    }
}

TEST(Conformance, ScoresAreFiniteAndHaveTheShapeTheyPromise) {
  for_random_cases([](const Method& method, const LayerObservation& o, const Target&, const SelectionRule&) {
    const Scores scores = method.score(o);
    EXPECT_TRUE(scores.n_heads == 1 || scores.n_heads == o.n_head_kv) << scores.n_heads;
    EXPECT_EQ(scores.n_entries, o.n_entries);
    ASSERT_EQ(scores.values.size(), std::size_t(scores.n_heads) * std::size_t(scores.n_entries));
    EXPECT_TRUE(
        std::all_of(scores.values.begin(), scores.values.end(), [](float s) { return std::isfinite(s); }));
  });
}

TEST(Conformance, KeptSetsHoldWhatTheyPromise) {
  int kept_sets = 0, refusals = 0;
  for_random_cases(
      [&](const Method& method, const LayerObservation& o, const Target& target, const SelectionRule& rule) {
        const bool fits = protected_entries(rule, target.n_entries) <= target.budget;
        const Scores scores = method.score(o);
        LayerKept kept;
        try {
          kept = select_layer(o.layer, scores, target, rule);
        } catch (const UsageError& error) {
          // kvpress' rounding may leave too few chunks for the protected entries, the paper's no chunk.
          EXPECT_TRUE(!fits || rule.rule != ChunkRule::exact) << error.what();
          EXPECT_LT(target.budget, target.n_entries);
          ++refusals;
          return;
        }
        EXPECT_TRUE(fits || target.budget == target.n_entries);
        EXPECT_EQ(kept.layer, o.layer);
        EXPECT_EQ(kept.heads.size(), std::size_t(scores.n_heads));
        for (const auto& list : kept.heads) {
          ++kept_sets;
          ASSERT_FALSE(list.empty());
          EXPECT_EQ(std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()), list.end())
              << "not ascending and unique";
          EXPECT_GE(list.front(), 0);
          EXPECT_LT(list.back(), target.n_entries);
          const auto size = std::int32_t(list.size());
          if (rule.rule == ChunkRule::exact) {
            EXPECT_EQ(size, target.budget);
          }
          if (rule.rule == ChunkRule::paper) {
            EXPECT_LE(size, target.budget);
            EXPECT_GT(size, target.budget - 2 * rule.chunk);
          }
          for (std::int32_t i = 0; i < target.n_entries; ++i) {
            const bool is_protected = i < rule.first || i >= target.n_entries - rule.last;
            EXPECT_TRUE(!is_protected || std::binary_search(list.begin(), list.end(), i))
                << "protected token " << i;
          }
        }
      });
  EXPECT_GT(kept_sets, 1000);
  EXPECT_GT(refusals, 100);
}

TEST(Conformance, FullBudgetKeepsEverything) {
  for_random_cases(
      [](const Method& method, const LayerObservation& o, const Target&, const SelectionRule& rule) {
        Indices all(std::size_t(o.n_entries));
        std::iota(all.begin(), all.end(), 0);
        const Target everything{o.n_entries, o.n_entries, 1.0};
        for (const auto& list : select_layer(0, method.score(o), everything, rule).heads)
          EXPECT_EQ(list, all);
      });
}

TEST(Conformance, SameInputGivesTheSameScores) {
  for_random_cases(
      [](const Method& method, const LayerObservation& o, const Target& target, const SelectionRule&) {
        const auto twin = make_method(method.spec());
        EXPECT_EQ(twin->request(), method.request());
        EXPECT_EQ(twin->reuse(), method.reuse());
        EXPECT_EQ(twin->score(o).values, method.score(o).values);
        EXPECT_EQ(twin->rule(target), method.rule(target));
      });
}

TEST(Conformance, EqualScoresKeepTheLowerIndices) {
  int checked = 0;
  for_random_cases(
      [&](const Method&, const LayerObservation&, const Target& target, const SelectionRule& rule) {
        if (rule.rule != ChunkRule::exact || protected_entries(rule, target.n_entries) > target.budget)
          return;
        ++checked;
        const std::int32_t beginning = target.budget - std::min(rule.last, target.n_entries - rule.first);
        Indices expected;
        for (std::int32_t i = 0; i < target.n_entries; ++i)
          if (i < beginning || i >= target.n_entries - rule.last) expected.push_back(i);
        const std::vector<float> equal(std::size_t(target.n_entries), 0.25f);
        EXPECT_EQ(select(equal, target, rule), expected);
      });
  EXPECT_GT(checked, 500);
}

}  // namespace
}  // namespace chunkkv
