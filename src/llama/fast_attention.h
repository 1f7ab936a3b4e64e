#pragma once

#include "kernels/attention.h"
#include "kernels/decode_attention.h"
#include "llama/aligned_block.h"
#include "llama/handles.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace chunkkv::engine {

/// Computes attention with kernels of our own, in the engine's graph and threads: the eval callback turns
/// such a node into a custom operation just before it is computed, and back afterwards. Many queries and few
/// have kernels apart. Caches other than F16 and masks that hold biases stay the engine's.
class FastAttention {
 public:
  /// The kernel that this processor runs; null if it has none.
  static const kernels::AttentionKernel* kernel();

  /// `n_threads`: those of the engine, at most.
  explicit FastAttention(int n_threads);

  /// Takes a node that is about to be computed, if it is such an attention.
  void take(ggml_tensor* node);
  /// Turns one node, or all, back into what they were.
  void restore(const ggml_tensor* node);
  void restore();
  /// What was computed for a node of many queries in this decode, with statistics; null: for no such node.
  const kernels::AttentionTask* computed(const ggml_tensor* node) const;
  /// To be called when masks have changed.
  void forget_masks();

 private:
  struct Call {
    FastAttention* owner = nullptr;
    ggml_tensor* node = nullptr;
    bool is_taken = false;
    std::int32_t parameters[GGML_MAX_OP_PARAMS / sizeof(std::int32_t)] = {};
    kernels::AttentionTask task;
    std::vector<float> statistics;  // of many queries
    kernels::DecodeAttentionTask few;
    std::atomic<std::int64_t> next = 0;
  };
  struct Mask {
    kernels::VisibleCells visible;
    kernels::CellLists lists;  // of few queries
    bool known = false, usable = false;
  };

  const Mask& read(const ggml_tensor* mask);
  void prepare_many(Call& call);
  void prepare_few(Call& call, const kernels::CellLists& lists);
  static void restore(Call& call);
  static void compute_many(ggml_tensor* node, int thread, int n_threads, void* call);
  static void compute_few(ggml_tensor* node, int thread, int n_threads, void* call);

  const kernels::AttentionKernel& kernel_;
  const kernels::DecodeAttentionKernel& decode_kernel_;
  std::deque<Call> calls_;  // stay where they are: operations point to them
  std::size_t n_calls_ = 0;
  std::map<const void*, Mask> masks_;
  std::vector<AlignedBlock> own_;
  // Of few queries, for one attention after the other.
  AlignedBlock part_sums_;
  std::vector<std::atomic<std::int32_t>> parts_done_;
};

}  // namespace chunkkv::engine
