#include "report/bootstrap.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace chunkkv::report {
namespace {

using chunkkv::test::Random;

std::vector<Tally> tallies(const std::vector<double>& values) {
  std::vector<Tally> row;
  for (const double value : values) row.push_back({value, 1});
  return row;
}

const Tally kMissing{};

/// The estimates of a single column, which is over all strata.
std::vector<std::optional<RowEstimate>> bootstrap_all(const std::vector<TaskSamples>& strata,
                                                      const std::vector<Comparison>& comparisons) {
  TaskIndices all(strata.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return bootstrap(strata, {all}, comparisons).front();
}

TEST(Bootstrap, AveragesTasksNotSamples) {
  // The task of three samples counts as much as that of two: (0.6 + 0.1) / 2.
  const std::vector<TaskSamples> strata = {{tallies({0.3, 0.6, 0.9})}, {tallies({0.2, 0})}};
  const auto columns = bootstrap(strata, {{0}, {1}, {0, 1}}, {{}});
  EXPECT_DOUBLE_EQ(columns[0][0]->mean.value, 0.6);
  EXPECT_DOUBLE_EQ(columns[1][0]->mean.value, 0.1);
  EXPECT_DOUBLE_EQ(columns[2][0]->mean.value, 0.35);
  EXPECT_EQ(columns[2][0]->n_samples, 5u);
  EXPECT_FALSE(columns[2][0]->share);
  EXPECT_FALSE(columns[2][0]->lead);
}

TEST(Bootstrap, ComparesOnSamplesThatBothHave) {
  // Row 1 lacks the sample that row 0 does best on.
  const std::vector<TaskSamples> strata = {{tallies({0.4, 0.6, 1}), {{0.2, 1}, {0.4, 1}, kMissing}}};
  const auto rows = bootstrap_all(strata, {{}, {0, 0}});
  EXPECT_DOUBLE_EQ(rows[1]->mean.value, 0.3);
  EXPECT_DOUBLE_EQ(rows[1]->share->value, 0.6);
  EXPECT_DOUBLE_EQ(rows[1]->lead->value, -0.2);
  EXPECT_TRUE(rows[1]->is_partial);
  EXPECT_EQ(rows[1]->n_samples, 2u);
  EXPECT_FALSE(rows[0]->is_partial);
}

TEST(Bootstrap, ARowWithoutATaskHasNoFigure) {
  const std::vector<TaskSamples> strata = {{tallies({1, 1}), tallies({1, 1})},
                                           {tallies({1, 1}), {kMissing, kMissing}}};
  const auto columns = bootstrap(strata, {{0}, {0, 1}}, {{}, {}});
  EXPECT_TRUE(columns[0][1]);
  EXPECT_FALSE(columns[1][1]);
  EXPECT_TRUE(columns[1][0]);
}

TEST(Bootstrap, NothingToCompareWithZero) {
  const auto rows = bootstrap_all({{tallies({0, 0}), tallies({1, 0})}}, {{}, {0, {}}});
  EXPECT_FALSE(rows[1]->share);
}

TEST(Bootstrap, PairingRemovesWhatSamplesHaveInCommon) {
  // The samples differ wildly, the rows by 0.1 on each of them.
  Random random;
  std::vector<double> base, ahead;
  for (int i = 0; i < 60; ++i) {
    base.push_back(0.9 * double(random.real()));
    ahead.push_back(base.back() + 0.1);
  }
  const auto rows = bootstrap_all({{tallies(base), tallies(ahead)}}, {{}, {{}, 0}});
  EXPECT_NEAR(rows[1]->lead->interval->low, 0.1, 1e-12);
  EXPECT_NEAR(rows[1]->lead->interval->high, 0.1, 1e-12);
  EXPECT_GT(rows[1]->mean.interval->high - rows[1]->mean.interval->low, 0.05);
}

TEST(Bootstrap, IsAsWideAsTheNormalApproximation) {
  std::vector<double> values(400, 0);
  std::fill_n(values.begin(), 100, 1.0);
  const Estimate mean = bootstrap_all({{tallies(values)}}, {{}}).front()->mean;
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_DOUBLE_EQ(mean.value, 0.25);
  EXPECT_NEAR(mean.interval->low, 0.25 - half, 0.1 * half);
  EXPECT_NEAR(mean.interval->high, 0.25 + half, 0.1 * half);
}

TEST(Bootstrap, QuestionsOnOneDocumentAreNotIndependent) {
  Random random;
  std::vector<Tally> alone, together;
  for (int i = 0; i < 40; ++i) {
    const double value = random.chance(0.5f) ? 1 : 0;
    alone.push_back({value, 1});
    together.push_back({10 * value, 10});  // ten questions, all answered alike
  }
  const auto one = bootstrap_all({{alone}}, {{}}).front()->mean;
  const auto ten = bootstrap_all({{together}}, {{}}).front()->mean;
  EXPECT_DOUBLE_EQ(one.interval->low, ten.interval->low);
  EXPECT_DOUBLE_EQ(one.interval->high, ten.interval->high);
}

TEST(Bootstrap, OneSampleHasNoInterval) {
  const auto columns = bootstrap({{tallies({0.5})}, {tallies({0.5, 0.6})}}, {{0}, {1}, {0, 1}}, {{}});
  EXPECT_FALSE(columns[0][0]->mean.interval);
  EXPECT_TRUE(columns[1][0]->mean.interval);
  EXPECT_FALSE(columns[2][0]->mean.interval);
}

TEST(Bootstrap, ASampleThatMayNotBeDrawnLeavesNoInterval) {
  const auto rows = bootstrap_all({{tallies({1, 1, 1}), {{0.5, 1}, kMissing, kMissing}}}, {{}, {0, {}}});
  EXPECT_DOUBLE_EQ(rows[1]->mean.value, 0.5);
  EXPECT_FALSE(rows[1]->mean.interval);
  EXPECT_FALSE(rows[1]->share->interval);
}

/// A slow reference: draws lists of samples, and computes every figure from the values in them.
class Reference {
 public:
  Reference(const std::vector<TaskSamples>& strata, const std::vector<Comparison>& comparisons)
      : strata_(strata), comparisons_(comparisons) {}

  /// The figure of `row` over `tasks` for the samples in `drawn`, by task. `kind`: 0 mean, 1 share, 2 lead.
  double figure(int kind, const std::vector<std::vector<std::size_t>>& drawn, const TaskIndices& tasks,
                std::size_t row) const {
    const auto& [reference, baseline] = comparisons_[row];
    double own = 0, other = 0;
    for (const std::size_t task : tasks) {
      const auto& mine = strata_[task][row];
      const auto& theirs = kind == 0 ? mine : strata_[task][kind == 1 ? *reference : *baseline];
      double sum = 0, n = 0, other_sum = 0, other_n = 0;
      for (const std::size_t sample : drawn[task]) {
        if (mine[sample].count == 0 || theirs[sample].count == 0) continue;
        sum += mine[sample].sum, n += mine[sample].count;
        other_sum += theirs[sample].sum, other_n += theirs[sample].count;
      }
      own += sum / n / double(tasks.size());
      other += other_sum / other_n / double(tasks.size());
    }
    return kind == 0 ? own : kind == 1 ? own / other : own - other;
  }

  Interval interval(int kind, const TaskIndices& tasks, std::size_t row,
                    const BootstrapOptions& options) const {
    std::mt19937_64 random(options.seed);
    std::vector<double> values;
    for (std::size_t i = 0; i < options.n_resamples; ++i) {
      std::vector<std::vector<std::size_t>> drawn;
      for (const TaskSamples& stratum : strata_) {
        const std::size_t n = stratum.front().size();
        auto& samples = drawn.emplace_back();
        for (std::size_t k = 0; k < n; ++k) samples.push_back(((random() >> 32) * n) >> 32);
      }
      values.push_back(figure(kind, drawn, tasks, row));
    }
    std::sort(values.begin(), values.end());
    const auto at = [&](double share) {
      const double place = share * double(values.size() - 1);
      const double below = values[std::size_t(place)], above = values[std::size_t(std::ceil(place))];
      return below + (place - std::floor(place)) * (above - below);
    };
    return {at(0.025), at(0.975)};
  }

 private:
  const std::vector<TaskSamples>& strata_;
  const std::vector<Comparison>& comparisons_;
};

TEST(Bootstrap, EqualsASlowReference) {
  Random random;
  const BootstrapOptions options{.n_resamples = 120, .seed = 7};
  for (int round = 0; round < 10; ++round) {
    std::vector<TaskSamples> strata;
    for (int task = 0; task < 3; ++task) {
      const auto n = std::size_t(random.integer(5, 12));
      TaskSamples& stratum = strata.emplace_back();
      for (int row = 0; row < 3; ++row) {
        auto& tallies = stratum.emplace_back();
        for (std::size_t sample = 0; sample < n; ++sample) {
          const bool is_missing = row == 2 && sample % 5 == 4;
          tallies.push_back(is_missing ? kMissing : Tally{2 * double(random.real()) + 0.1, 2});
        }
      }
    }
    const std::vector<Comparison> comparisons = {{}, {0, {}}, {0, 1}};
    const std::vector<TaskIndices> columns = {{1}, {0, 1, 2}};
    const auto found = bootstrap(strata, columns, comparisons, options);
    const Reference reference(strata, comparisons);
    for (std::size_t c = 0; c < columns.size(); ++c)
      for (std::size_t row = 0; row < 3; ++row) {
        const RowEstimate& own = *found[c][row];
        const std::optional<Estimate> estimates[] = {own.mean, own.share, own.lead};
        for (int kind = 0; kind < 3; ++kind) {
          ASSERT_EQ(estimates[kind].has_value(), kind == 0 || (kind == 1 ? row > 0 : row == 2));
          if (!estimates[kind]) continue;
          const auto expected = reference.interval(kind, columns[c], row, options);
          ASSERT_TRUE(estimates[kind]->interval);
          EXPECT_NEAR(estimates[kind]->interval->low, expected.low, 1e-12);
          EXPECT_NEAR(estimates[kind]->interval->high, expected.high, 1e-12);
        }
      }
  }
}

}  // namespace
}  // namespace chunkkv::report
