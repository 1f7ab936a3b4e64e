#include "llama/row_blocks.h"

#include "llama/kernel_run.h"

#include <algorithm>

namespace chunkkv::engine {

const kernels::RowStatisticsKernel* row_kernel(Compute& compute, const RowTensor& rows) {
  const auto& kernels = kernels::row_statistics_kernels();
  const bool is_read =
      rows.rows->type == GGML_TYPE_F16 && rows.width % 16 == 0 && compute.device_of(rows.rows).is_cpu;
  return is_read && !kernels.empty() ? &kernels.front() : nullptr;
}

kernels::RowStatisticsTask row_task(const CacheLayer& cache, const RowTensor& rows, std::int64_t head,
                                    std::span<const std::int32_t> cells) {
  return {.rows = static_cast<const char*>(rows.rows->data) + cache.head_bytes(rows.rows) * std::size_t(head),
          .row_bytes = rows.rows->nb[1],
          .cells = cells.data(),
          .depth = rows.width};
}

void for_row_blocks(Compute& compute, const CacheLayer& cache, const RowTensor& rows, HeadRange heads,
                    std::span<const std::int32_t> cells, const std::function<void(const RowBlock&)>& work) {
  const auto n = std::int64_t(cells.size()), block = std::int64_t(kRowsOfBlock);
  const std::int64_t n_blocks = (n + block - 1) / block;
  run_kernel(compute, rows.rows, 0, [&](char*, std::atomic<std::int64_t>& next) {
    for (std::int64_t i = 0; (i = next.fetch_add(1)) < n_blocks * (heads.end - heads.first);) {
      const std::int64_t head = heads.first + i / n_blocks, first = i % n_blocks * block;
      work({.task = row_task(cache, rows, head, cells),
            .head = head,
            .first = first,
            .end = std::min(n, first + block)});
    }
  });
}

std::vector<double> sum_of_row_blocks(Compute& compute, const CacheLayer& cache, const RowTensor& rows,
                                      HeadRange heads, std::span<const std::int32_t> cells,
                                      const std::function<void(const RowBlock&, float* sum)>& work) {
  const auto width = std::size_t(rows.width), all = std::size_t(heads.end - heads.first) * width;
  std::vector<float> parts((cells.size() + kRowsOfBlock - 1) / kRowsOfBlock * all);
  for_row_blocks(compute, cache, rows, heads, cells, [&](const RowBlock& b) {
    work(b, parts.data() + std::size_t(b.first) / kRowsOfBlock * all +
                std::size_t(b.head - heads.first) * width);
  });
  std::vector<double> sum(all);
  for (std::size_t i = 0; i < parts.size(); ++i) sum[i % all] += double(parts[i]);
  return sum;
}

}  // namespace chunkkv::engine
