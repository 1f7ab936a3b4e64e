#include "llama/kernel_sums.h"

#include "llama/fast_attention.h"
#include "llama/kernel_run.h"

namespace chunkkv::engine {

std::vector<float> kernel_sums(Compute& compute, const CacheLayer& cache, const kernels::AttentionTask& task,
                               QueryRange queries) {
  const kernels::AttentionKernel& kernel = *FastAttention::kernel();
  const int n_threads = compute.n_threads();
  std::vector<float> result(std::size_t(task.n_cells * task.n_head));
  run_kernel(compute, cache.k, kernel.thread_bytes(task, n_threads),
             [&](char* own, std::atomic<std::int64_t>& next) {
               kernel.sums(task, {queries.first, queries.count, queries.stride}, n_threads, own, next,
                           result.data());
             });
  return result;
}

}  // namespace chunkkv::engine
