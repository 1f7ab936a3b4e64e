#pragma once

#include "kernels/aligned_block.h"
#include "kernels/attention.h"
#include "kernels/decode_attention.h"
#include "llama/nodes.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Computes attention with kernels of our own, in the engine's graph and threads: the eval callback turns
/// such a node into a custom operation just before it is computed, and back afterwards. There is one kernel
/// for many queries and one for few. Caches other than F16 and masks that hold biases are left to the engine.
class FastAttention {
 public:
  /// The kernel for many queries on this processor; null if it lacks one for many or for few.
  static const kernels::AttentionKernel* kernel();

  /// `n_threads`: the most threads that the engine uses.
  explicit FastAttention(int n_threads);

  /// Takes a node that is about to be computed, if it is an attention that our kernels can compute.
  /// `adds_up`: the attention that cells receive from all queries is wanted, too.
  void take(ggml_tensor* node, bool adds_up);
  /// Turns `node` back into the engine's operation.
  void restore(const ggml_tensor* node);
  /// Ends a decode: turns all nodes back.
  void restore();
  /// The task, with statistics, that a kernel computed in this decode for a node of many queries; null for
  /// every other node.
  const kernels::AttentionTask* computed(const ggml_tensor* node) const;
  /// Its `received`, the sum of all parts, [n_head][n_cells]; empty if it was not wanted. Valid until another
  /// node is taken for which it is.
  std::span<const float> received(const kernels::AttentionTask& task);
  /// Must be called when masks have changed, since each is read only once.
  void forget_masks();

 private:
  struct Call {
    FastAttention* owner = nullptr;
    const ggml_tensor* node = nullptr;
    TakenNode taken;
    kernels::AttentionTask task;
    std::vector<float> statistics;  // only for many queries
    kernels::DecodeAttentionTask decode_task;
    std::atomic<std::int64_t> next = 0;
  };
  struct Mask {
    kernels::VisibleCells visible;
    kernels::CellLists lists;  // only for few queries
    bool known = false, usable = false;
  };

  const Mask& read(const ggml_tensor* mask);
  void prepare_many(Call& call, bool adds_up);
  void prepare_few(Call& call, const kernels::CellLists& lists);
  static void compute_many(ggml_tensor* node, int thread, int n_threads, void* call);
  static void compute_few(ggml_tensor* node, int thread, int n_threads, void* call);

  const kernels::AttentionKernel& kernel_;
  const kernels::DecodeAttentionKernel& decode_kernel_;
  std::deque<Call> calls_;  // a deque, since custom operations point to its elements
  std::size_t n_calls_ = 0;
  std::map<const void*, Mask> masks_;
  std::vector<kernels::AlignedBlock> thread_memory_;
  std::vector<float> received_;  // by the cells of the last node for which it was wanted
  // Memory of the kernel for few queries, which one attention uses after the other.
  kernels::AlignedBlock part_sums_;
  std::vector<std::atomic<std::int32_t>> parts_done_;
};

}  // namespace chunkkv::engine
