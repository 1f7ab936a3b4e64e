#pragma once

#include "kernels/aligned_block.h"
#include "kernels/product.h"

#include <thread>
#include <vector>

namespace chunkkv::kernels {

/// Computes the product that `task` describes and returns it, [n_tokens][n_out]; `task.out` is set here.
inline std::vector<float> run_product(const ProductKernel& kernel, ProductTask task, int n_threads,
                                      const AlignedBlock& shared) {
  std::vector<float> out(std::size_t(task.n_tokens * task.n_out), -1.0f);
  task.out = reinterpret_cast<char*>(out.data());
  task.out_row = std::size_t(task.n_out) * sizeof(float);
  Team team;
  std::vector<std::thread> threads;
  for (int t = 0; t < n_threads; ++t)
    threads.emplace_back([&, t] {
      const AlignedBlock own(kernel.thread_bytes(task));
      kernel.run(task, t, n_threads, shared.get(), own.get(), team);
    });
  for (std::thread& t : threads) t.join();
  return out;
}
inline std::vector<float> run_product(const ProductKernel& kernel, const ProductTask& task, int n_threads) {
  return run_product(kernel, task, n_threads, AlignedBlock(kernel.shared_bytes(task)));
}

/// The same as `run_product` of `second`, whose activations `first` has packed.
inline std::vector<float> run_packed(const ProductKernel& kernel, const ProductTask& first,
                                     ProductTask second, int n_threads) {
  const AlignedBlock shared(kernel.shared_bytes(first));
  run_product(kernel, first, n_threads, shared);
  second.x = nullptr;  // is not read again
  second.is_packed = true;
  return run_product(kernel, second, n_threads, shared);
}

}  // namespace chunkkv::kernels
