#pragma once

#include "kernels/product.h"

#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace chunkkv::kernels {

/// Computes the product that `task` describes and returns it, [n_tokens][n_out]; `task.out` is set here.
inline std::vector<float> run_product(const ProductKernel& kernel, ProductTask task, int n_threads) {
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  const auto memory = [](std::size_t bytes) {
    return std::unique_ptr<char, Free>(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
  };
  std::vector<float> out(std::size_t(task.n_tokens * task.n_out), -1.0f);
  task.out = reinterpret_cast<char*>(out.data());
  task.out_row = std::size_t(task.n_out) * sizeof(float);
  const auto shared = memory(kernel.shared_bytes(task));
  Team team;
  std::vector<std::thread> threads;
  for (int t = 0; t < n_threads; ++t)
    threads.emplace_back([&, t] {
      const auto own = memory(kernel.thread_bytes(task));
      kernel.run(task, t, n_threads, shared.get(), own.get(), team);
    });
  for (std::thread& t : threads) t.join();
  return out;
}

}  // namespace chunkkv::kernels
