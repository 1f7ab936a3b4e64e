#include "llama/kernel_sums.h"

#include "llama/aligned_block.h"
#include "llama/fast_attention.h"

#include <atomic>

namespace chunkkv::engine {
namespace {

struct SumsWork {
  const kernels::AttentionTask& task;
  QueryRange queries;
  std::vector<AlignedBlock> own;
  std::atomic<std::int64_t> next = 0;

  static void compute(ggml_tensor* out, int thread, int, void* data) {
    auto& self = *static_cast<SumsWork*>(data);
    FastAttention::kernel()->sums(self.task, {self.queries.first, self.queries.count, self.queries.stride},
                                  int(self.own.size()), self.own[std::size_t(thread)].get(), self.next,
                                  static_cast<float*>(out->data));
  }
};

}  // namespace

std::vector<float> kernel_sums(Compute& compute, const CacheLayer& cache, const kernels::AttentionTask& task,
                               QueryRange queries) {
  const auto n_threads = std::size_t(compute.n_threads());
  SumsWork work{.task = task, .queries = queries, .own = std::vector<AlignedBlock>(n_threads)};
  for (AlignedBlock& own : work.own)
    own.reserve(FastAttention::kernel()->thread_bytes(task, compute.n_threads()));
  std::vector<float> result(std::size_t(task.n_cells * task.n_head));
  Graph g(compute.device_of(cache.k), 4);
  // An operation needs an input; the kernel finds the keys through its task.
  ggml_tensor* keys = g.alias(cache.k, cache.k->type, {cache.k->ne[0], task.n_cells, 1, 1},
                              {cache.k->nb[0], cache.k->nb[1], cache.k->nb[2], cache.k->nb[3]});
  g.output(ggml_custom_4d(g.ctx(), GGML_TYPE_F32, task.n_cells, task.n_head, 1, 1, &keys, 1,
                          &SumsWork::compute, GGML_N_TASKS_MAX, &work),
           result.data());
  g.run();
  return result;
}

}  // namespace chunkkv::engine
