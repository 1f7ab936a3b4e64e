#include <chunkkv/error.h>
#include <chunkkv/selection.h>

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <ostream>
#include <set>
#include <vector>

namespace chunkkv {
namespace {

struct Case {
  std::vector<float> scores;
  Target target;
  SelectionRule rule;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  out << "n " << c.target.n_entries << ", budget " << c.target.budget << ", share " << c.target.share
      << ", first " << c.rule.first << ", last " << c.rule.last << ", chunk " << c.rule.chunk << ", rule "
      << int(c.rule.rule) << ", mean " << (c.rule.chunk_score == ChunkScore::mean) << ", scores";
  for (const float score : c.scores) out << ' ' << score;
  return out;
}

using Chunk = std::vector<std::int32_t>;

/// `entries` cut into chunks of `length`, which are sorted, the best first.
std::vector<Chunk> ranked_chunks(const std::vector<std::int32_t>& entries, const std::vector<double>& scores,
                                 std::int32_t length, ChunkScore kind) {
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i % std::size_t(length) == 0) chunks.emplace_back();
    chunks.back().push_back(entries[i]);
  }
  const auto value = [&](const Chunk& chunk) {
    double sum = 0;
    for (const auto i : chunk) sum += scores[std::size_t(i)];
    return kind == ChunkScore::mean ? sum / double(chunk.size()) : sum;
  };
  std::stable_sort(chunks.begin(), chunks.end(),
                   [&](const auto& a, const auto& b) { return value(a) > value(b); });
  return chunks;
}

/// Follows the rules word by word and sorts everything. Returns nothing where selection must refuse.
std::optional<std::vector<std::int32_t>> slow_select(const Case& c) {
  const auto& [scores, target, rule] = c;
  std::vector<std::int32_t> all(scores.size());
  std::iota(all.begin(), all.end(), 0);
  if (target.budget == target.n_entries) return all;

  std::set<std::int32_t> always;
  std::vector<std::int32_t> others;
  for (const auto i : all) {
    if (i < rule.first || i >= target.n_entries - rule.last)
      always.insert(i);
    else
      others.push_back(i);
  }
  const auto budget = std::size_t(target.budget);
  if (always.size() > budget) return std::nullopt;

  std::vector<double> values(scores.begin(), scores.end());
  std::set<std::int32_t> kept;
  if (rule.rule == ChunkRule::kvpress) {
    constexpr double above_all_others = 1 << 20;
    for (const auto i : always) values[std::size_t(i)] = above_all_others;
    const auto chunks = ranked_chunks(all, values, rule.chunk, ChunkScore::mean);
    const auto count = std::max<std::size_t>(1, std::size_t(double(chunks.size()) * target.share + 1e-9));
    for (std::size_t k = 0; k < count; ++k) kept.insert(chunks[k].begin(), chunks[k].end());
    if (!std::includes(kept.begin(), kept.end(), always.begin(), always.end())) return std::nullopt;
  } else {
    kept = always;
    const auto whole_chunks = (budget - always.size()) / std::size_t(rule.chunk);
    const auto chunks = ranked_chunks(others, values, rule.chunk, rule.chunk_score);
    for (std::size_t k = 0; k < chunks.size(); ++k)
      for (const auto i : chunks[k])
        if (rule.rule == ChunkRule::paper ? k < whole_chunks : kept.size() < budget) kept.insert(i);
    if (kept.empty()) return std::nullopt;
  }
  return std::vector<std::int32_t>(kept.begin(), kept.end());
}

Case random_case(test::Random& random, std::int32_t most_entries) {
  Case c;
  const std::int32_t n = random.integer(1, most_entries);
  const bool many_ties = random.chance(0.5f);
  for (std::int32_t i = 0; i < n; ++i)
    c.scores.push_back(many_ties ? float(random.integer(0, 3)) / 8
                                 : float(random.integer(0, 1 << 10)) / 1024);
  c.target = {n, random.integer(1, n), 0.0};
  c.target.share = random.chance(0.5f) ? double(c.target.budget) / n : double(random.integer(1, 100)) / 100;
  c.rule.first = random.chance(0.5f) ? 0 : random.integer(0, 8);
  c.rule.last = random.chance(0.3f) ? 0 : random.integer(0, 12);
  c.rule.chunk = random.chance(0.3f) ? 1 : random.integer(1, 12);
  c.rule.chunk_score = random.chance(0.5f) ? ChunkScore::sum : ChunkScore::mean;
  c.rule.rule = ChunkRule(random.integer(0, 2));
  return c;
}

TEST(SelectionReference, AgreesWithSortingOnRandomInput) {
  test::Random random;
  int kept = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    const Case c = random_case(random, 90);
    const auto expected = slow_select(c);
    if (expected) {
      ++kept;
      ASSERT_EQ(select(c.scores, c.target, c.rule), *expected) << c;
    } else {
      ++refused;
      ASSERT_THROW(select(c.scores, c.target, c.rule), UsageError) << c;
    }
  }
  EXPECT_GT(kept, 5000);
  EXPECT_GT(refused, 500);
}

TEST(SelectionReference, AgreesOnALongPrompt) {
  test::Random random;
  for (const ChunkRule rule : {ChunkRule::exact, ChunkRule::paper, ChunkRule::kvpress}) {
    Case c;
    for (int i = 0; i < 100'003; ++i) c.scores.push_back(random.real());
    c.target = {100'003, 10'000, 0.1};
    c.rule = {.first = 4, .last = 32, .chunk = 10, .rule = rule};
    const bool equal = select(c.scores, c.target, c.rule) == slow_select(c);
    EXPECT_TRUE(equal) << "rule " << int(rule);
  }
}

}  // namespace
}  // namespace chunkkv
