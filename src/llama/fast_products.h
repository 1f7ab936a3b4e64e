#pragma once

#include "kernels/product.h"
#include "llama/handles.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace chunkkv::engine {

/// What multiplies a matrix of weights with the tokens of a prompt; null: the engine.
const kernels::ProductKernel* prompt_kernel(const ggml_tensor* weights);

/// Computes the products of weights and many tokens, most of the work of reading a prompt, with kernels of
/// our own where they are faster than the engine's (kernels/choice.h). The engine is not changed: the eval
/// callback turns such a node of its graph into a custom operation just before the node is computed, in the
/// same threads, and back after the decode.
class FastProducts {
 public:
  /// Whether there are kernels for this processor.
  static bool available();

  /// `n_threads`: those of the engine, at most.
  explicit FastProducts(int n_threads);

  /// Takes a node that is about to be computed, if it is such a product.
  void take(ggml_tensor* node);
  /// Turns the nodes back into what they were.
  void restore();

 private:
  struct Taken {
    ggml_tensor* node;
    std::int32_t parameters[GGML_MAX_OP_PARAMS / sizeof(std::int32_t)];
  };
  struct AlignedFree {
    void operator()(char* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  /// Memory that only grows.
  struct Block {
    std::unique_ptr<char[], AlignedFree> memory;
    std::size_t size = 0;
    void reserve(std::size_t n);
  };

  static void compute(ggml_tensor* node, int thread, int n_threads, void* self);

  std::vector<Taken> taken_;
  std::int32_t parameters_[GGML_MAX_OP_PARAMS / sizeof(std::int32_t)] = {};  // of a custom operation
  Block shared_;
  std::vector<Block> own_;
  kernels::Team team_;
};

}  // namespace chunkkv::engine
