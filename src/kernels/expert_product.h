#pragma once

#include "kernels/product.h"

namespace chunkkv::kernels {

/// Products of many tokens with some of several matrices of the same shape, the experts of a mixture: for
/// each token t and slot s, out[t][s][o] = sum_k w[experts[t][s]][o][k] x[t][s][k].
struct ExpertTask {
  std::int64_t n_tokens = 0;
  std::int64_t n_slots = 0;  ///< experts of a token
  std::int64_t n_experts = 0;
  std::int64_t n_out = 0;         ///< a multiple of kProductOutputs
  Weights weights;                ///< of the first expert; their depth is a multiple of kProductDepth
  std::size_t expert_bytes = 0;   ///< from expert to expert
  const char* experts = nullptr;  ///< [n_tokens][n_slots] numbers of 32 bits
  std::size_t experts_row = 0;    ///< bytes from token to token
  const char* x = nullptr;        ///< [n_tokens][n_slots][depth] floats
  std::size_t x_token = 0;        ///< bytes from token to token
  std::size_t x_slot = 0;         ///< bytes from slot to slot; 0: all slots of a token have the same
  char* out = nullptr;            ///< [n_tokens][n_slots][n_out] floats
  std::size_t out_token = 0, out_slot = 0;
};

/// The memory that `run_experts` needs: of all threads together, and of each. Aligned to 64 bytes.
std::size_t shared_bytes(const ProductKernel& kernel, const ExpertTask& task);
std::size_t thread_bytes(const ProductKernel& kernel, const ExpertTask& task);

/// Computes the share of thread `thread` of `n_threads` by `kernel`, whose rows do not depend on each other:
/// so neither do those of this. All threads must call this at the same time, with the same `shared` memory
/// and team and with memory of their own.
void run_experts(const ProductKernel& kernel, const ExpertTask& task, int thread, int n_threads, char* shared,
                 char* own, Team& team);

}  // namespace chunkkv::kernels
