#pragma once

#include "kernels/aligned_block.h"
#include "kernels/product.h"

#include <thread>
#include <vector>

namespace chunkkv::kernels {

/// Computes the product that `task` describes and returns it, [n_tokens][n_out]; `task.out` is set here.
inline std::vector<float> run_product(const ProductKernel& kernel, ProductTask task, int n_threads) {
  std::vector<float> out(std::size_t(task.n_tokens * task.n_out), -1.0f);
  task.out = reinterpret_cast<char*>(out.data());
  task.out_row = std::size_t(task.n_out) * sizeof(float);
  const AlignedBlock shared(kernel.shared_bytes(task));
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

}  // namespace chunkkv::kernels
