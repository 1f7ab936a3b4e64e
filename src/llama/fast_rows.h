#pragma once

#include "kernels/token_rows.h"
#include "llama/nodes.h"

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace chunkkv::engine {

/// Computes norms and rotations of many tokens' rows with kernels of our own: the engine adds up squares one
/// by one, and computes the sines of each position in every layer. As FastAttention, it turns a node into a
/// custom operation just before it is computed, and back after the decode.
class FastRows {
 public:
  /// Whether there is a kernel for this processor.
  static bool available();

  FastRows();

  /// Takes a node that is about to be computed, if it is one that our kernel can compute. A norm is taken
  /// with the product that follows it. To be called for all nodes, also for those taken before, in a graph
  /// that is computed again.
  void take(ggml_tensor* node);
  /// Turns all nodes back into the engine's operations.
  void restore();

 private:
  /// Cosines and sines of the positions of a micro-batch, which all layers use.
  struct Turns {
    std::array<std::int32_t, GGML_MAX_OP_PARAMS / sizeof(std::int32_t)> parameters = {};  // of the rotations
    const void* factors = nullptr;  // numbers that frequencies are divided by
    std::vector<std::int32_t> positions;
    std::vector<float> cosines, sines;  // [positions][numbers that are rotated]

    std::int64_t n_rotated() const;
    kernels::RotationPairs pairs() const;
  };
  struct Call {
    FastRows* owner = nullptr;
    TakenNode node;
    TakenNode norm;          // the norm that is taken with the product `node`
    Turns* turns = nullptr;  // null: a norm
  };

  void take_norm(ggml_tensor* product);
  void take_rotation(ggml_tensor* node);
  static void update(Turns& turns, const ggml_tensor* node);
  Call& new_call();
  static void compute_norm(ggml_tensor* node, int thread, int n_threads, void* call);
  static void compute_rotation(ggml_tensor* node, int thread, int n_threads, void* call);

  const kernels::TokenRowsKernel& kernel_;
  std::deque<Call> calls_;  // a deque, since custom operations point to its elements
  std::size_t n_calls_ = 0;
  std::deque<Turns> turns_;            // a few: models have one or two kinds of rotation
  const ggml_tensor* last_ = nullptr;  // the node that was asked about before
};

}  // namespace chunkkv::engine
