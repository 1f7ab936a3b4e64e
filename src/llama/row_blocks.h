#pragma once

#include "kernels/row_statistics.h"
#include "llama/cache_rows.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace chunkkv::engine {

constexpr std::size_t kRowsOfBlock = 2048;

/// Our kernel where it can read these rows: F16, in the CPU's memory, width a multiple of 16. Otherwise null.
const kernels::RowStatisticsKernel* row_kernel(Compute& compute, const RowTensor& rows);

/// The rows of one KV head.
kernels::RowStatisticsTask row_task(const CacheLayer& cache, const RowTensor& rows, std::int64_t head,
                                    std::span<const std::int32_t> cells);

/// Entries `first` to `end` of one KV head.
struct RowBlock {
  kernels::RowStatisticsTask task;
  std::int64_t head = 0, first = 0, end = 0;
};

struct HeadRange {
  std::int64_t first = 0, end = 0;
};
inline HeadRange all_heads(const CacheLayer& cache) {
  return {0, cache.n_head_kv};
}

/// Calls `work`, which must not throw, for all blocks of `cells` of some KV heads, on all threads. Only for
/// rows in the CPU's memory; kernels can read a block's task only where there is a `row_kernel`.
void for_row_blocks(Compute& compute, const CacheLayer& cache, const RowTensor& rows, HeadRange heads,
                    std::span<const std::int32_t> cells, const std::function<void(const RowBlock&)>& work);

/// The same. Adds up in double precision, for each head, what `work` writes to `sum`, [width]:
/// [heads][width].
std::vector<double> sum_of_row_blocks(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                                      HeadRange heads, std::span<const std::int32_t> cells,
                                      const std::function<void(const RowBlock&, float* sum)>& work);

}  // namespace chunkkv::engine
