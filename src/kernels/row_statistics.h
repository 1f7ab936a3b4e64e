#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// Rows of F16 numbers of one head in a cache, in the order of `cells`.
struct RowStatisticsTask {
  const char* rows = nullptr;  ///< the row of the head's first cell
  std::size_t row_bytes = 0;   ///< bytes from cell to cell
  const std::int32_t* cells = nullptr;
  std::int64_t depth = 0;  ///< numbers of a row that are used: a multiple of 16
};

/// One implementation, in single precision, for rows `first` to `end`. A row's length is its Euclidean norm;
/// a row shorter than `smallest` is divided by `smallest` instead.
struct RowStatisticsKernel {
  const char* name;
  /// out[i] = |row i|
  void (*norms)(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float* out);
  /// out[depth] = sum of the rows, each divided by its length.
  void (*sum_of_units)(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float smallest,
                       float* out);
  /// out[i] = dot product of `direction` and row i divided by its length.
  void (*cosines)(const RowStatisticsTask& task, std::int64_t first, std::int64_t end, float smallest,
                  const float* direction, float* out);
};

/// All kernels on vectors in plain C++, for tests.
const std::vector<RowStatisticsKernel>& emulated_row_statistics_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<RowStatisticsKernel>& row_statistics_kernels();

}  // namespace chunkkv::kernels
