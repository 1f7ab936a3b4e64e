#include "kernels/decode_attention.h"

#include "unit/attention_problem.h"
#include "unit/one_thread.h"

#include <numeric>
#include <string>

namespace chunkkv::kernels {
namespace {

constexpr double kTolerance = 3e-6;

/// Computes the output rows of `count` queries from `first` on, twice with the same counters.
std::vector<float> run(const DecodeAttentionKernel& kernel, const Problem& problem, int n_threads = 1,
                       std::int64_t first = 0, std::int64_t count = -1) {
  const Shape& shape = problem.shape;
  if (count < 0) count = shape.n_queries;
  VisibleCells visible;
  EXPECT_TRUE(visible.read(reinterpret_cast<const char*>(problem.mask.data() + first * shape.n_cells), count,
                           shape.n_cells, std::size_t(shape.n_cells) * 2));
  CellLists lists;
  lists.read(visible);
  std::vector<float> out(std::size_t(count * shape.n_head * shape.depth), -7.0f), before;
  const DecodeAttentionTask work(problem.task(first, count, out), lists);
  std::vector<float> sums(PartSums::n_sums(work), std::nanf(""));
  std::vector<std::atomic<std::int32_t>> done(PartSums::n_done(work));
  const PartSums part_sums{sums.data(), done.data()};
  for (int i = 0; i < 2; ++i) {
    before = out;
    on_threads(n_threads, kernel.thread_bytes(work.task),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(work, part_sums, own, next); });
    for (const auto& n : done) EXPECT_EQ(n.load(), 0);
  }
  EXPECT_EQ(std::memcmp(out.data(), before.data(), out.size() * sizeof(float)), 0);
  return out;
}

class DecodeAttention : public testing::TestWithParam<DecodeAttentionKernel> {
 protected:
  std::vector<float> rows(const Problem& problem, int n_threads = 1, std::int64_t first = 0,
                          std::int64_t count = -1) {
    return run(GetParam(), problem, n_threads, first, count);
  }
  test::Random random_;
};

TEST_P(DecodeAttention, EqualsDoublePrecisionWhateverTheShape) {
  CHUNKKV_NEEDS_ONE_THREAD();
  for (const Shape& s : std::vector<Shape>{{1, 1, 2, 1, 64},
                                           {1, 31, 9, 3, 64},
                                           {1, 5000, 14, 2, 64},
                                           {31, 64, 3, 1, 64},
                                           {8, 1025, 7, 1, 64},
                                           {3, 333, 8, 1, 80},
                                           {2, 260, 2, 2, 96},
                                           {5, 600, 4, 1, 128},
                                           {4, 300, 3, 3, 256},
                                           {7, 120, 5, 1, 16}}) {
    const Problem problem(s, random_);
    EXPECT_LT(problem.error(rows(problem)), kTolerance)
        << s.n_queries << " queries, " << s.n_cells << " cells, " << s.n_head << "/" << s.n_head_kv
        << " heads of " << s.depth;
  }
}

TEST_P(DecodeAttention, FollowsTheMask) {
  Problem problem({9, 900, 6, 2, 64}, random_);
  for (std::int64_t t = 0; t < 9; ++t)
    for (std::int64_t c = 0; c < 900; ++c)
      if (t == 4 || (t < 4 ? c % 4 != t : random_.integer(0, 3) == 0)) problem.at(t, c) = kHiddenCell;
  const auto out = rows(problem, 2);
  EXPECT_LT(problem.error(out), kTolerance);
  for (std::int64_t i = 0; i < 6 * 64; ++i)  // a query that sees nothing
    EXPECT_EQ(out[std::size_t(problem.output(4, 0) + std::size_t(i))], 0.0f);
}

TEST_P(DecodeAttention, KnowsSoftCapsAndSinks) {
  CHUNKKV_NEEDS_ONE_THREAD();
  Problem capped({4, 700, 4, 2, 64}, random_), sunk = capped;
  capped.softcap = 5;
  sunk.sinks = {-1.0f, 0.0f, 3.0f, 40.0f};
  EXPECT_LT(capped.error(rows(capped)), kTolerance);
  EXPECT_LT(sunk.error(rows(sunk)), kTolerance);
  capped.sinks = {2.0f, 2.0f, -3.0f, 1.0f};
  EXPECT_LT(capped.error(rows(capped)), kTolerance);
  for (std::int64_t c = 0; c < 700; ++c) sunk.at(1, c) = kHiddenCell;
  EXPECT_LT(sunk.error(rows(sunk)), kTolerance);
}

TEST_P(DecodeAttention, RowsDependNeitherOnOtherQueriesNorOnThreads) {
  const Problem problem({12, 1400, 4, 2, 64}, random_);
  const auto whole = rows(problem);
  for (const int n_threads : {2, 8}) EXPECT_EQ(rows(problem, n_threads), whole) << n_threads;
  for (std::int64_t t = 0; t < 12; ++t) {
    const auto alone = rows(problem, 3, t, 1);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), whole.begin() + t * 4 * 64)) << "query " << t;
  }
}

TEST_P(DecodeAttention, RowsDependOnTheOrderOfCellsNotOnTheirPlaces) {
  // The same 500 cells lie side by side, and spread over a cache that other sequences share.
  const Shape dense_shape{1, 500, 6, 2, 64};
  const Problem dense(dense_shape, random_);
  Problem spread({1, 2100, 6, 2, 64}, random_);
  spread.q = dense.q;
  std::vector<std::int64_t> places(2100);
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), std::mt19937(unsigned(random_.integer(0, 1 << 30))));
  places.resize(500);
  std::sort(places.begin(), places.end());
  std::fill(spread.mask.begin(), spread.mask.end(), kHiddenCell);
  for (std::int64_t c = 0; c < 500; ++c) {
    const std::int64_t to = places[std::size_t(c)];
    spread.at(0, to) = kOpenCell;
    for (std::size_t i = 0; i < 128; ++i) {
      spread.k[spread.row(to, 0) + i] = dense.k[dense.row(c, 0) + i];
      spread.v[spread.row(to, 0) + i] = dense.v[dense.row(c, 0) + i];
    }
  }
  EXPECT_EQ(rows(spread, 2), rows(dense));
}

TEST_P(DecodeAttention, BadNumbersStayWhereTheyAre) {
  const Problem good({6, 400, 4, 2, 64}, random_);
  const auto before = rows(good);
  Problem bad = good;
  bad.q[good.query(2, 1) + 5] = std::nanf("");
  const auto with_query = rows(bad);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i / 64 == 2 * 4 + 1)
      EXPECT_TRUE(std::isnan(with_query[i]));
    else
      ASSERT_EQ(with_query[i], before[i]) << "row " << i / 64;
  }
  // A NaN in a key of the first KV head, in a cell that only the last queries see.
  Problem broken = good;
  broken.k[good.row(397, 0) + 3] = half_bits(std::nanf(""));
  const auto with_key = rows(broken);
  for (std::int64_t t = 0; t < 6; ++t)
    for (std::int64_t head = 0; head < 4; ++head)
      for (std::int64_t d = 0; d < 64; ++d) {
        const std::size_t i = good.output(t, head) + std::size_t(d);
        if (head < 2 && good.sees(t, 397))
          EXPECT_TRUE(std::isnan(with_key[i]));
        else
          ASSERT_EQ(with_key[i], before[i]);
      }
}

TEST_P(DecodeAttention, LargeNumbersNeedNoCare) {
  Problem steep({3, 600, 2, 1, 64}, random_), large = steep;
  for (float& x : steep.q) x *= 300;  // one cell takes all attention
  for (const float x : rows(steep)) ASSERT_TRUE(std::isfinite(x));
  for (std::uint16_t& x : large.v) x = half_bits(60000);
  for (const float x : rows(large)) ASSERT_NEAR(x, 60000, 0.1);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DecodeAttention);
INSTANTIATE_TEST_SUITE_P(, DecodeAttention, testing::ValuesIn(decode_attention_kernels()),
                         kernel_name<DecodeAttentionKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, DecodeAttention, testing::ValuesIn(emulated_decode_attention_kernels()),
                         kernel_name<DecodeAttentionKernel>);

TEST(CellLists, CutEachQuerysCellsIntoEvenParts) {
  VisibleCells visible;
  std::vector<std::uint16_t> mask(3 * 9000, kHiddenCell);
  std::fill(mask.begin() + 9000, mask.begin() + 18000, kOpenCell);
  for (const std::size_t c : {0, 33, 8999}) mask[18000 + c] = kOpenCell;
  ASSERT_TRUE(visible.read(reinterpret_cast<const char*>(mask.data()), 3, 9000, 18000));
  CellLists lists;
  lists.read(visible);
  EXPECT_EQ(lists.first_parts, (std::vector<std::int64_t>{0, 1, 17, 18}));
  EXPECT_EQ(lists.parts[0].begin, lists.parts[0].end);
  for (std::int64_t p = 1, at = 0; p < 17; ++p) {
    const CellLists::Part& part = lists.parts[std::size_t(p)];
    EXPECT_EQ(part.query, 1);
    EXPECT_EQ(part.begin, at);
    EXPECT_NEAR(double(part.end - part.begin), 9000.0 / 16, 1);
    at = part.end;
  }
  ASSERT_EQ(lists.cells.size(), 9003u);
  EXPECT_EQ(lists.cells[8999], 8999u);
  EXPECT_EQ(lists.cells[9001], 33u);
  EXPECT_EQ(lists.cells[9002], 8999u);
}

}  // namespace
}  // namespace chunkkv::kernels
