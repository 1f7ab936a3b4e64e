#include "llama/kernel_run.h"

namespace chunkkv::engine {
namespace {

struct KernelRun {
  const ThreadWork& work;
  std::vector<kernels::AlignedBlock>& own;
  std::atomic<std::int64_t> next = 0;

  static void compute(ggml_tensor*, int thread, int, void* run) {
    auto& self = *static_cast<KernelRun*>(run);
    self.work(self.own[std::size_t(thread)].get(), self.next);
  }
};

}  // namespace

void run_kernel(Compute& compute, const ggml_tensor* tensor, std::size_t own_bytes, const ThreadWork& work) {
  KernelRun run{work, compute.kernel_memory().own};
  run.own.resize(std::size_t(compute.n_threads()));
  for (kernels::AlignedBlock& own : run.own) own.reserve(own_bytes);
  Graph g(compute.device_of(tensor), 4);
  float any = 0;  // a graph's operation needs an input and an output
  ggml_tensor* input = g.input(GGML_TYPE_F32, {1, 1, 1, 1}, &any);
  g.output(ggml_custom_4d(g.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &input, 1, &KernelRun::compute,
                          GGML_N_TASKS_MAX, &run),
           &any);
  g.run();
}

}  // namespace chunkkv::engine
