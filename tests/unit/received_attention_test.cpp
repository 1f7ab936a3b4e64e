// Checks the attention that cells receive from all queries, added up while it is computed.
#include "kernels/attention.h"

#include "unit/attention_problem.h"
#include "unit/one_thread.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace chunkkv::kernels {
namespace {

constexpr std::int64_t kStrip = 256;  // a multiple of every kernel's strip

/// [n_head][n_cells], in double precision.
using CellSums = std::vector<double>;

/// Sums over the cells of each strip of each head.
CellSums by_strip(const Problem& p, const CellSums& sums) {
  const std::int64_t n_strips = (p.shape.n_cells + kStrip - 1) / kStrip;
  CellSums result(std::size_t(p.shape.n_head * n_strips), 0.0);
  for (std::int64_t head = 0; head < p.shape.n_head; ++head)
    for (std::int64_t c = 0; c < p.shape.n_cells; ++c)
      result[std::size_t(head * n_strips + c / kStrip)] += sums[std::size_t(head * p.shape.n_cells + c)];
  return result;
}

class ReceivedAttention : public testing::TestWithParam<AttentionKernel> {
 protected:
  /// Computes the attention and what cells receive; expects the output that it has without that.
  CellSums received(const Problem& p, int n_threads) const {
    const AttentionKernel& kernel = GetParam();
    VisibleCells visible;
    EXPECT_TRUE(visible.read(reinterpret_cast<const char*>(p.mask.data()), p.shape.n_queries, p.shape.n_cells,
                             std::size_t(p.shape.n_cells) * 2));
    std::vector<float> out(std::size_t(p.shape.n_queries * p.shape.n_head * p.shape.depth), -7.0f);
    AttentionTask task = p.task(0, p.shape.n_queries, out);
    task.visible = visible.words.data(), task.seen_by_any = visible.seen_by_any.data();
    task.n_parts = kernel.n_parts(task, n_threads);
    const auto n = std::size_t(p.shape.n_head * p.shape.n_cells);
    std::vector<float> parts(std::size_t(task.n_parts) * n, std::nanf(""));
    task.received = parts.data();
    on_threads(n_threads, kernel.thread_bytes(task, n_threads),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(task, n_threads, own, next); });
    EXPECT_TRUE(std::ranges::equal(out, p.run(kernel, n_threads), [](float x, float y) {
      return x == y || (std::isnan(x) && std::isnan(y));
    }));
    CellSums sums(n, 0.0);
    for (std::size_t i = 0; i < parts.size(); ++i) sums[i % n] += double(parts[i]);
    return sums;
  }

  void expect_strips_to_be_right(const Problem& p, int n_threads) const {
    EXPECT_LT(relative_error(by_strip(p, received(p, n_threads)), by_strip(p, p.sums())), tolerance())
        << p.shape.n_queries << " queries, " << p.shape.n_cells << " cells, " << p.shape.n_head
        << " heads of " << p.shape.depth;
  }

  bool is_exact() const { return std::string(GetParam().name).find("16") == std::string::npos; }
  /// Of sums over many queries: rounding errors cancel in part.
  double tolerance() const { return is_exact() ? 3e-6 : 1.2e-2; }

  test::Random random_;
};

TEST_P(ReceivedAttention, GivesEachStripAllThatItsQueriesPay) {
  CHUNKKV_NEEDS_ONE_THREAD();
  std::vector<Problem> problems;
  for (const Shape& s : std::vector<Shape>{{48, 420, 3, 1, 64},
                                           {40, 400, 7, 1, 64},
                                           {34, 400, 2, 1, 128},
                                           {34, 300, 3, 3, 256},
                                           {33, 330, 2, 2, 96},
                                           {50, 120, 5, 1, 16}})
    problems.emplace_back(s, random_);
  Problem sparse = problems[0], windows = problems[1], sunk = problems[0], capped = problems[2];
  Problem scattered({50, 1350, 2, 1, 64}, random_);  // more strips are first or local than are kept
  scattered.scatter(random_);
  for (std::int64_t t = 0; t < 48; ++t)
    for (std::int64_t c = 0; c < 420; ++c)
      if (random_.integer(0, 3) == 0 || t == 8 || c / 128 == 2) sparse.at(t, c) = kHiddenCell;
  for (std::int64_t t = 0; t < 40; ++t)
    for (std::int64_t c = 0; c < t + 400 - 40 - 200; ++c) windows.at(t, c) = kHiddenCell;
  sunk.sinks = {-1.0f, 3.0f, 12.0f};
  capped.softcap = 8;
  problems.insert(problems.end(), {sparse, windows, sunk, capped, scattered});
  for (std::size_t i = 0; i < problems.size(); ++i) {
    SCOPED_TRACE(i);  // some differ only in what their queries see
    expect_strips_to_be_right(problems[i], 1);
  }
}

TEST_P(ReceivedAttention, GivesEachStripWhatQueriesOfSeveralThreadsPay) {
  for (const Shape& s : std::vector<Shape>{{50, 290, 4, 2, 64}, {48, 420, 3, 1, 64}})
    expect_strips_to_be_right(Problem(s, random_), 3);
}

TEST_P(ReceivedAttention, IsExactInTheFirstAndInLocalStrips) {
  // 500 cells: every kernel's strips are the first or local ones.
  for (const Shape& s : std::vector<Shape>{
           {40, 60, 6, 2, 64}, {60, 500, 2, 1, 128}, {33, 500, 1, 1, 64}, {33, 50, 1, 1, 256}}) {
    const Problem p(s, random_);
    EXPECT_LT(relative_error(received(p, 2), p.sums()), tolerance());
  }
}

TEST_P(ReceivedAttention, DoesNotDependOnValues) {
  CHUNKKV_NEEDS_ONE_THREAD();
  Problem problem({70, 600, 4, 2, 64}, random_);
  const CellSums sums = received(problem, 2);
  const std::size_t bad = problem.row(random_.integer(0, 599), 0);
  problem.v[bad] = 0x7e00;  // no number
  EXPECT_EQ(received(problem, 2), sums);
}

/// Queries attend to a first cell, to their neighbours and to some cells that all of them like, each to its
/// own degree: as in models, the shares differ between queries.
TEST_P(ReceivedAttention, SharesItNearlyAsItShould) {
  Problem p({192, 1400, 2, 1, 64}, random_);
  for (std::int64_t c = 0; c < 1400; ++c) {
    std::uint16_t* key = p.k.data() + p.row(c, 0);
    key[0] = half_bits(c == 0 ? 40.0f : 0.0f);
    key[1] = half_bits(float(c) / 24);
    key[2] = half_bits(8 * random_.real());
  }
  for (std::int64_t head = 0; head < 2; ++head)
    for (std::int64_t t = 0; t < 192; ++t) {
      float* q = p.q.data() + p.query(t, head);
      for (std::int64_t d = 3; d < 64; ++d) q[d] /= 2;
      q[0] = random_.real();
      q[1] = random_.real() * 3;
      q[2] = 2 + 2 * random_.real();
    }
  const CellSums sums = received(p, 2), truth = p.sums();
  EXPECT_LT(relative_error(sums, truth), 1e-2);
  for (std::size_t head = 0; head < 2; ++head) {
    // The tenth of the cells that receive the most.
    const auto most = [&](const CellSums& all) {
      std::vector<std::size_t> cells(1400);
      for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = head * 1400 + i;
      std::nth_element(cells.begin(), cells.begin() + 140, cells.end(),
                       [&](std::size_t a, std::size_t b) { return all[a] > all[b]; });
      cells.resize(140);
      std::sort(cells.begin(), cells.end());
      return cells;
    };
    const auto wanted = most(truth), has = most(sums);
    std::vector<std::size_t> both;
    std::set_intersection(wanted.begin(), wanted.end(), has.begin(), has.end(), std::back_inserter(both));
    EXPECT_GE(both.size(), 136U) << "head " << head;
  }
}

TEST_P(ReceivedAttention, StaysFiniteWhereEstimatesAreWrong) {
  Problem p({64, 1000, 2, 1, 64}, random_);
  for (float& x : p.q) x *= 300;  // one cell takes all, and logits rise by hundreds from strip to strip
  Problem backwards = p;
  for (std::int64_t t = 0; t < 64; ++t)  // the last query does not see the last cells
    for (std::int64_t c = 0; c < 1000; ++c) backwards.at(t, c) = c < 1000 - t * 15 ? kOpenCell : kHiddenCell;
  for (const Problem* problem : {&p, &backwards}) {
    const CellSums sums = received(*problem, 1);
    for (const double x : sums) ASSERT_TRUE(std::isfinite(x));
    double all = 0;
    for (const double x : sums) all += x;
    EXPECT_NEAR(all, 64 * 2, 64 * 2 * tolerance());
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ReceivedAttention);
INSTANTIATE_TEST_SUITE_P(, ReceivedAttention, testing::ValuesIn(attention_kernels()),
                         kernel_name<AttentionKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, ReceivedAttention, testing::ValuesIn(emulated_attention_kernels()),
                         kernel_name<AttentionKernel>);

}  // namespace
}  // namespace chunkkv::kernels
