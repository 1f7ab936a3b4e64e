#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/row_statistics.h"

namespace chunkkv::kernels {
namespace {

/// Takes four rows at a time, so that their sums are added up across lanes together.
template <class V>
class RowStatistics {
  using F = typename V::F;
  static constexpr int kRowsTogether = 4, kAhead = 2 * kRowsTogether;

 public:
  static void norms(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float* out) {
    for (std::int64_t i = first; i < end; i += kRowsTogether) {
      const FourRows rows(task, i, end);
      float squares[kRowsTogether];
      rows.squares(task.depth, squares);
      for (int r = 0; r < rows.count; ++r) out[i + r] = root(squares[r]);
    }
  }

  /// factors[i - first] = 1 / the length of row i; out[i - first][depth] = row i times it. Adds these rows to
  /// `sum`, [depth].
  static void units(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float smallest,
                    float* factors, float* out, float* sum) {
    for (std::int64_t i = first; i < end; i += kRowsTogether, out += kRowsTogether * task.depth) {
      const FourRows rows(task, i, end);
      float own[kRowsTogether];
      rows.factors(task.depth, smallest, own);
      // One by one: copied together they are read from where they were just written, which takes long.
#pragma GCC unroll 4
      for (int r = 0; r < kRowsTogether; ++r)
        if (r < rows.count) *factors++ = own[r];
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth) {
        F total = V::load(sum + d);
        for (int r = 0; r < rows.count; ++r) {
          const F unit = V::from_half(rows.at[r] + 2 * d) * V::all(own[r]);
          V::store(out + r * task.depth + d, unit);
          total += unit;
        }
        V::store(sum + d, total);
      }
    }
  }

  static void sum_of_units(const RowStatisticsTask& task, std::int64_t first, std::int64_t end,
                           float smallest, float* out) {
    for (std::int64_t d = 0; d < task.depth; ++d) out[d] = 0;
    for (std::int64_t i = first; i < end; i += kRowsTogether) {
      const FourRows rows(task, i, end);
      float factors[kRowsTogether];
      rows.factors(task.depth, smallest, factors);
      for (int r = rows.count; r < kRowsTogether; ++r) factors[r] = 0;
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth) {
        F sum = V::load(out + d);
        for (int r = 0; r < kRowsTogether; ++r) sum += V::from_half(rows.at[r] + 2 * d) * V::all(factors[r]);
        V::store(out + d, sum);
      }
    }
  }

  static void cosines(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float smallest,
                      const float* direction, float* out) {
    for (std::int64_t i = first; i < end; i += kRowsTogether) {
      const FourRows rows(task, i, end);
      float factors[kRowsTogether], products[kRowsTogether];
      rows.factors(task.depth, smallest, factors);
      rows.products(
          task.depth, [&](F, std::int64_t d) { return V::load(direction + d); }, products);
      for (int r = 0; r < rows.count; ++r) out[i + r] = products[r] * factors[r];
    }
  }

 private:
  struct FourRows {
    const char* at[kRowsTogether];
    int count;

    /// Repeats the last row where fewer than four are left. Fetches some that come later: they are far apart.
    FourRows(const RowStatisticsTask& task, std::int64_t i, std::int64_t end)
        : count(int(min_of(kRowsTogether, end - i))) {
      for (int r = 0; r < kRowsTogether; ++r) at[r] = row(task, i + min_of(r, count - 1));
      for (std::int64_t later = i + kAhead; later < min_of(i + kAhead + kRowsTogether, end); ++later)
        fetch(row(task, later), 2 * task.depth);
    }
    static CHUNKKV_INLINE const char* row(const RowStatisticsTask& task, std::int64_t i) {
      return task.rows + task.row_bytes * std::size_t(task.cells[i]);
    }

    /// out[r] = sum over d of x other(x, d), x being number d of row r.
    template <class Other>
    void products(std::int64_t depth, const Other& other, float* out) const {
      F sums[kRowsTogether] = {};
      for (std::int64_t d = 0; d < depth; d += V::kWidth)
        for (int r = 0; r < kRowsTogether; ++r) {
          const F x = V::from_half(at[r] + 2 * d);
          sums[r] += x * other(x, d);
        }
      V::store_sums(sums[0], sums[1], sums[2], sums[3], out);
    }
    void squares(std::int64_t depth, float* out) const {
      products(
          depth, [](F x, std::int64_t) { return x; }, out);
    }
    void factors(std::int64_t depth, float smallest, float* out) const {
      squares(depth, out);
      for (int r = 0; r < kRowsTogether; ++r) {
        const float norm = root(out[r]);
        out[r] = 1 / (norm < smallest ? smallest : norm);
      }
    }
  };

  static float root(float x) {
    return __builtin_sqrtf(x);
  }
};

template <class V>
RowStatisticsKernel row_statistics_kernel(const char* name) {
  return {name, &RowStatistics<V>::norms, &RowStatistics<V>::sum_of_units, &RowStatistics<V>::cosines};
}

}  // namespace
}  // namespace chunkkv::kernels
