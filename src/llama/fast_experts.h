#pragma once

#include "kernels/aligned_block.h"
#include "kernels/product.h"
#include "llama/nodes.h"

#include <utility>
#include <vector>

namespace chunkkv::engine {

/// Our kernel for the experts that a node multiplies with the tokens of a prompt; null: the engine does it.
const kernels::ProductKernel* expert_kernel(const ggml_tensor* product);

/// Computes the products of experts and many tokens with kernels of our own where they are faster than the
/// engine's, as FastProducts does it with other weights.
class FastExperts {
 public:
  /// `n_threads`: the most threads that the engine uses.
  explicit FastExperts(int n_threads);

  /// Takes a node that is about to be computed, if it is a product that our kernels compute faster.
  void take(ggml_tensor* node);
  /// Turns all nodes back into the engine's operations.
  void restore();

 private:
  static void compute(ggml_tensor* node, int thread, int n_threads, void* self);

  std::vector<std::pair<ggml_tensor*, Operation>> taken_;  // nodes, and what they were
  Operation ours_;
  kernels::AlignedBlock shared_memory_;
  std::vector<kernels::AlignedBlock> thread_memory_;
  kernels::Team team_;
};

}  // namespace chunkkv::engine
