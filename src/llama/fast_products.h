#pragma once

#include "kernels/aligned_block.h"
#include "kernels/product.h"
#include "llama/nodes.h"

#include <vector>

namespace chunkkv::engine {

/// Our kernel for a node that multiplies a matrix of weights, or the experts of a mixture, with the tokens of
/// a usual micro-batch; null: the engine does it.
const kernels::ProductKernel* prompt_kernel(const ggml_tensor* product);

/// Computes the products of weights, or of experts, and many tokens, most of the work of reading a prompt,
/// with kernels of our own where they are faster than the engine's (kernels/choice.h). The engine is not
/// changed: the eval callback turns such a node of its graph into a custom operation just before the node is
/// computed, in the same threads, and back after the decode. Products of the same activations, as queries,
/// keys and values are, pack these once.
class FastProducts {
 public:
  /// Whether there are kernels for this processor.
  static bool available();

  /// `n_threads`: the most threads that the engine uses.
  explicit FastProducts(int n_threads);

  /// Must be called with each node of a graph that is about to be computed.
  void see(const ggml_tensor* node) {
    if (node == packed_.x) packed_ = {};
  }
  /// Takes a node that is about to be computed, if it is a product that our kernels compute faster.
  void take(ggml_tensor* node);
  /// Turns all nodes back into the engine's operations.
  void restore();

 private:
  /// The activations that shared memory holds as a kernel packs them for some weights.
  struct Packed {
    const ggml_tensor* x = nullptr;  ///< null: there are none
    const kernels::ProductKernel* kernel = nullptr;
    int offset = 0, part = 0;

    bool operator==(const Packed&) const = default;
  };

  void take(ggml_tensor* node, const kernels::ProductKernel& kernel);
  void take_experts(ggml_tensor* node, const kernels::ProductKernel& kernel);
  void reserve(std::size_t shared, std::size_t own);
  template <bool IsPacked>
  static void compute(ggml_tensor* node, int thread, int n_threads, void* self);

  std::vector<TakenNode> taken_;
  Operation ours_, of_packed_;
  Packed packed_;  ///< after the last node that was taken
  kernels::AlignedBlock shared_memory_;
  std::vector<kernels::AlignedBlock> thread_memory_;
  kernels::Team team_;
};

}  // namespace chunkkv::engine
