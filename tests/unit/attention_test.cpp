#include "kernels/attention.h"

#include "unit/attention_problem.h"
#include "unit/one_thread.h"

#include <array>
#include <string>
#include <utility>

namespace chunkkv::kernels {
namespace {

bool rounds_to_16_bits(const AttentionKernel& kernel) {
  return std::string(kernel.name).find("16") != std::string::npos;
}
/// Above the largest error that 40 seeds gave, 7e-3. BF16 is the coarsest arithmetic.
double tolerance(const AttentionKernel& kernel) {
  return rounds_to_16_bits(kernel) ? 1.2e-2 : 3e-6;
}

class FastAttention : public testing::TestWithParam<AttentionKernel> {
 protected:
  test::Random random_;
};

TEST_P(FastAttention, EqualsDoublePrecisionWhateverTheShape) {
  CHUNKKV_NEEDS_ONE_THREAD();
  for (const Shape& s : std::vector<Shape>{{1, 31, 9, 3, 64},
                                           {64, 64, 3, 1, 64},
                                           {65, 100, 9, 3, 64},
                                           {77, 257, 4, 4, 64},
                                           {32, 333, 8, 1, 80},
                                           {33, 260, 2, 2, 96},
                                           {90, 1025, 7, 1, 64},
                                           {40, 600, 4, 1, 128},
                                           {34, 300, 3, 3, 256},
                                           {50, 120, 5, 1, 16}}) {
    const Problem problem(s, random_);
    EXPECT_LT(problem.error(problem.run(GetParam())), tolerance(GetParam()))
        << s.n_queries << " queries, " << s.n_cells << " cells, " << s.n_head << "/" << s.n_head_kv
        << " heads of " << s.depth;
  }
}

TEST_P(FastAttention, FollowsTheMask) {
  CHUNKKV_NEEDS_ONE_THREAD();
  Problem interleaved({70, 300, 6, 2, 64}, random_), sparse = interleaved, windows = interleaved;
  for (std::int64_t t = 0; t < 70; ++t)
    for (std::int64_t c = 0; c < 300; ++c) {
      if (c % 3 != t % 3) interleaved.at(t, c) = kHiddenCell;  // cells of other sequences
      if (random_.integer(0, 3) == 0) sparse.at(t, c) = kHiddenCell;
      if (c < t + 230 - 40) windows.at(t, c) = kHiddenCell;
    }
  for (std::int64_t c = 0; c < 300; ++c) sparse.at(8, c) = kHiddenCell;  // query 8 sees nothing
  for (const Problem* problem : {&interleaved, &sparse, &windows})
    EXPECT_LT(problem->error(problem->run(GetParam())), tolerance(GetParam()));
  const auto out = sparse.run(GetParam());
  for (std::int64_t i = 0; i < 6 * 64; ++i) EXPECT_EQ(out[std::size_t(8 * 6 * 64 + i)], 0.0f);
}

TEST_P(FastAttention, SumsAttentionByCell) {
  Problem problem({50, 290, 4, 2, 64}, random_), ninety({70, 100, 3, 1, 96}, random_);
  for (std::int64_t t = 0; t < 50; ++t)
    for (std::int64_t c = 0; c < 290; ++c)
      if (random_.integer(0, 5) == 0 || t == 9) problem.at(t, c) = kHiddenCell;
  problem.sinks = {-1.0f, 0.0f, 3.0f, 1.0f};
  ninety.softcap = 8;
  struct Case {
    const Problem* p;
    std::int64_t first, stride;
  };
  for (const auto& [p, first, stride] : {Case{&problem, 0, 1}, Case{&problem, 18, 1}, Case{&ninety, 0, 1},
                                         Case{&ninety, 69, 1}, Case{&problem, 2, 16}, Case{&ninety, 1, 3}}) {
    std::vector<float> sums, again;
    EXPECT_EQ(p->run(GetParam(), 1, 0, -1, &sums, first, stride), p->run(GetParam()));
    p->run(GetParam(), 3, 0, -1, &again, first, stride);
    EXPECT_EQ(again, sums);
    EXPECT_LT(relative_error(sums, p->sums(first, stride)), tolerance(GetParam()));
  }
}

TEST_P(FastAttention, KnowsSoftCapsAndSinks) {
  CHUNKKV_NEEDS_ONE_THREAD();
  Problem capped({40, 200, 4, 2, 64}, random_), sunk = capped;
  capped.softcap = 5;
  sunk.sinks = {-1.0f, 0.0f, 3.0f, 40.0f};
  EXPECT_LT(capped.error(capped.run(GetParam())), tolerance(GetParam()));
  EXPECT_LT(sunk.error(sunk.run(GetParam())), tolerance(GetParam()));
  capped.sinks = {2.0f, 2.0f, -3.0f, 1.0f};
  EXPECT_LT(capped.error(capped.run(GetParam())), tolerance(GetParam()));
}

TEST_P(FastAttention, RowsDependNeitherOnTheBatchNorOnTheThreads) {
  // In the second problem the queries' last cells lie in two strips, in the third the first ones, too.
  std::vector<Problem> problems = {{{120, 220, 4, 2, 64}, random_}, {{120, 1350, 4, 2, 16}, random_}};
  Problem windows = problems[1], scattered = problems[1];
  for (std::int64_t t = 0; t < 120; ++t)
    for (std::int64_t c = 0; c < t + 700; ++c) windows.at(t, c) = kHiddenCell;
  scattered.scatter(random_);
  // Where queries see different cells first, the mean key, which a soft cap rules out, is not the same.
  windows.softcap = scattered.softcap = 20;
  problems.insert(problems.end(), {windows, scattered});
  for (const Problem& problem : problems) {
    const auto whole = problem.run(GetParam());
    EXPECT_LT(problem.error(whole), rounds_to_16_bits(GetParam()) ? 2e-2 : 3e-6);
    for (const int n_threads : {2, 8}) EXPECT_EQ(problem.run(GetParam(), n_threads), whole) << n_threads;
    const std::int64_t row = 4 * problem.shape.depth;
    for (const auto& [first, count] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 77}, {77, 43}, {45, 32}}) {
      const auto part = problem.run(GetParam(), 2, first, count);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * row))
          << count << " queries from " << first;
    }
  }
}

TEST_P(FastAttention, LargeLogitsNeedNoCare) {
  CHUNKKV_NEEDS_ONE_THREAD();
  // The keys' biases are as large as Qwen's. They are the same for all cells, so the soft max cancels them.
  Problem problem({64, 300, 2, 1, 64}, random_);
  for (std::int64_t c = 0; c < 300; ++c)
    for (const std::int64_t d : {3, 17, 40})
      problem.k[std::size_t(c * 64 + d)] =
          half_bits(float(half_value(problem.k[std::size_t(c * 64 + d)])) + 400);
  for (float& x : problem.q) x = x + 4;
  EXPECT_LT(problem.error(problem.run(GetParam())), rounds_to_16_bits(GetParam()) ? 8e-2 : 3e-4);
  // The same where the sequence's cells begin in the middle of the cache.
  for (std::int64_t t = 0; t < 64; ++t)
    for (std::int64_t c = 0; c < 130; ++c) problem.at(t, c) = kHiddenCell;
  EXPECT_LT(problem.error(problem.run(GetParam())), rounds_to_16_bits(GetParam()) ? 8e-2 : 3e-4);
}

TEST_P(FastAttention, BadNumbersStayWhereTheyAre) {
  CHUNKKV_NEEDS_ONE_THREAD();
  const Problem good({64, 200, 4, 2, 64}, random_);
  const auto before = good.run(GetParam());
  // A NaN in a query spoils only the output row of its own head.
  Problem bad_query = good;
  bad_query.q[good.query(20, 1) + 5] = std::nanf("");
  const auto with_query = bad_query.run(GetParam());
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::size_t row = i / 64;
    if (row == 20 * 4 + 1)
      EXPECT_TRUE(std::isnan(with_query[i]));
    else
      ASSERT_EQ(with_query[i], before[i]) << "row " << row;
  }
  // Cells that no query sees may hold anything, left from an earlier use.
  Problem stale = good, clean = good;
  for (const std::int64_t c : {5, 64, 100})
    for (std::int64_t t = 0; t < 64; ++t) stale.at(t, c) = clean.at(t, c) = kHiddenCell;
  for (std::size_t i = 0; i < 128; ++i) {
    const std::uint16_t anything[3] = {half_bits(std::nanf("")), half_bits(kInfinity), half_bits(-kInfinity)};
    for (int j = 0; j < 3; ++j) {
      stale.k[std::size_t(std::array{5, 64, 100}[std::size_t(j)]) * 128 + i] = anything[j];
      stale.v[std::size_t(std::array{5, 64, 100}[std::size_t(j)]) * 128 + i] = anything[(j + 1) % 3];
    }
  }
  EXPECT_LT(stale.error(stale.run(GetParam())), tolerance(GetParam()));
  // A NaN in a key spoils only the queries that see its cell.
  Problem broken = good;
  broken.k[good.row(150, 0) + 3] = half_bits(std::nanf(""));
  const auto with_key = broken.run(GetParam());
  for (std::int64_t t = 0; t < 64; ++t)
    for (std::int64_t d = 0; d < 64; ++d) {
      const std::size_t i = good.output(t, 0) + std::size_t(d);
      if (good.sees(t, 150))
        EXPECT_TRUE(std::isnan(with_key[i]));
      else
        ASSERT_EQ(with_key[i], before[i]);
    }
}

/// A weight of 0 does not keep a value that is no number from a sum.
TEST_P(FastAttention, BadValuesReachOnlyQueriesThatSeeThem) {
  CHUNKKV_NEEDS_ONE_THREAD();
  Problem good({70, 200, 4, 2, 64}, random_);
  for (std::int64_t t = 0; t < 70; ++t)  // sequences of 3 to 6 cells each, which follow each other
    for (std::int64_t c = 0; c < 200; ++c)
      good.at(t, c) = c * 45 / 200 == t * 45 / 70 ? kOpenCell : kHiddenCell;
  const auto before = good.run(GetParam());
  for (const float value : {std::nanf(""), kInfinity, -kInfinity}) {
    Problem bad = good;
    const std::int64_t cell = random_.integer(0, 199);
    const auto depth = std::size_t(random_.integer(0, 63));
    bad.v[good.row(cell, 2) + depth] = half_bits(value);
    const auto after = bad.run(GetParam());
    int n_spoilt = 0;
    for (std::int64_t t = 0; t < 70; ++t)
      for (std::int64_t head = 0; head < 4; ++head)
        for (std::size_t d = 0; d < 64; ++d) {
          const std::size_t i = good.output(t, head) + d;
          if (good.sees(t, cell) && head >= 2 && d == depth) {
            EXPECT_FALSE(std::isfinite(after[i]));
            ++n_spoilt;
          } else {
            ASSERT_EQ(after[i], before[i]) << "query " << t << ", head " << head << ", cell " << cell;
          }
        }
    EXPECT_GT(n_spoilt, 0);
  }
}

TEST_P(FastAttention, LargestNumbersDoNotOverflow) {
  Problem problem({32, 128, 1, 1, 64}, random_);
  for (std::uint16_t& x : problem.v) x = half_bits(60000);
  for (float& x : problem.q) x = 0;  // all weights alike
  const auto out = problem.run(GetParam());
  for (const float x : out) ASSERT_NEAR(x, 60000, 60000 * tolerance(GetParam()));
  Problem steep({32, 128, 1, 1, 64}, random_);
  for (float& x : steep.q) x *= 300;  // one cell takes all attention
  for (const float x : steep.run(GetParam())) ASSERT_TRUE(std::isfinite(x));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FastAttention);
INSTANTIATE_TEST_SUITE_P(, FastAttention, testing::ValuesIn(attention_kernels()),
                         kernel_name<AttentionKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, FastAttention, testing::ValuesIn(emulated_attention_kernels()),
                         kernel_name<AttentionKernel>);

TEST(VisibleCells, ReadMasksOfZerosAndMinusInfinityOnly) {
  std::vector<std::uint16_t> mask(2 * 40, kHiddenCell);
  mask[0] = mask[33] = mask[40 + 31] = kOpenCell;
  VisibleCells cells;
  ASSERT_TRUE(cells.read(reinterpret_cast<const char*>(mask.data()), 2, 40, 80));
  EXPECT_EQ(cells.words, (std::vector<std::uint32_t>{1u, 1u << 31, 2u, 0u}));
  EXPECT_EQ(cells.seen_by_any, (std::vector<std::uint32_t>{1u | 1u << 31, 2u}));
  ASSERT_TRUE(cells.read(nullptr, 1, 33, 0));
  EXPECT_EQ(cells.words, (std::vector<std::uint32_t>{0xffffffffu, 1u}));
  for (const std::size_t biased : {std::size_t(7), std::size_t(79)}) {
    auto other = mask;
    other[biased] = half_bits(-0.5f);
    EXPECT_FALSE(cells.read(reinterpret_cast<const char*>(other.data()), 2, 40, 80));
  }
}

}  // namespace
}  // namespace chunkkv::kernels
