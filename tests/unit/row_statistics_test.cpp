#include "kernels/row_statistics.h"

#include "unit/attention_problem.h"

namespace chunkkv::kernels {
namespace {

/// Rows of the first of two heads in a cache: those of some cells, in descending order.
struct SomeRows {
  std::int64_t depth;
  std::vector<std::uint16_t> rows;
  std::vector<std::int32_t> cells;

  SomeRows(std::int64_t numbers, std::int32_t n_cells, test::Random& random) : depth(numbers) {
    rows.resize(std::size_t(n_cells * 2 * depth));
    for (std::uint16_t& x : rows) x = half_bits(4 * random.real() - 1);
    for (std::int64_t d = 0; d < depth; ++d) rows[std::size_t(2 * depth + d)] = 0;  // a row of zeros
    for (std::int32_t cell = n_cells - 1; cell >= 0; cell -= cell % 3 == 0 ? 2 : 1) cells.push_back(cell);
  }
  std::int64_t n() const { return std::int64_t(cells.size()); }
  RowStatisticsTask task() const {
    return {.rows = reinterpret_cast<const char*>(rows.data()),
            .row_bytes = std::size_t(4 * depth),
            .cells = cells.data(),
            .depth = depth};
  }
  double at(std::int64_t i, std::int64_t d) const {
    return half_value(rows[std::size_t(2 * depth * cells[std::size_t(i)] + d)]);
  }
  double norm(std::int64_t i) const {
    double square = 0;
    for (std::int64_t d = 0; d < depth; ++d) square += at(i, d) * at(i, d);
    return std::sqrt(square);
  }
};

class RowStatistics : public testing::TestWithParam<RowStatisticsKernel> {
 protected:
  test::Random random_;
};

TEST_P(RowStatistics, EqualDoublePrecisionWhateverTheShape) {
  constexpr float smallest = 1e-6F;
  for (const auto& [depth, n_cells] :
       std::vector<std::pair<std::int64_t, std::int32_t>>{{16, 3}, {64, 200}, {80, 41}, {256, 50}}) {
    const SomeRows rows(depth, n_cells, random_);
    const std::int64_t first = rows.n() > 10 ? 3 : 0, end = rows.n();
    std::vector<float> norms(std::size_t(end), -7.0F), cosines(std::size_t(end), -7.0F),
        sum(std::size_t(depth), -7.0F), direction(sum);
    for (float& x : direction) x = random_.real() - 0.5F;
    GetParam().norms(rows.task(), first, end, norms.data());
    GetParam().sum_of_units(rows.task(), first, end, smallest, sum.data());
    GetParam().cosines(rows.task(), first, end, smallest, direction.data(), cosines.data());
    std::vector<double> expected(std::size_t(depth), 0.0);
    for (std::int64_t i = 0; i < end; ++i) {
      if (i < first) {
        EXPECT_EQ(norms[std::size_t(i)], -7.0F);
        continue;
      }
      const double length = std::max(rows.norm(i), double(smallest));
      double cosine = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        cosine += rows.at(i, d) / length * double(direction[std::size_t(d)]);
        expected[std::size_t(d)] += rows.at(i, d) / length;
      }
      EXPECT_NEAR(norms[std::size_t(i)], rows.norm(i), 1e-5 * length);
      EXPECT_NEAR(cosines[std::size_t(i)], cosine, 1e-5);
    }
    for (std::size_t d = 0; d < expected.size(); ++d) EXPECT_NEAR(sum[d], expected[d], 1e-4);
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RowStatistics);
INSTANTIATE_TEST_SUITE_P(, RowStatistics, testing::ValuesIn(row_statistics_kernels()),
                         kernel_name<RowStatisticsKernel>);
INSTANTIATE_TEST_SUITE_P(Emulated, RowStatistics, testing::ValuesIn(emulated_row_statistics_kernels()),
                         kernel_name<RowStatisticsKernel>);

}  // namespace
}  // namespace chunkkv::kernels
