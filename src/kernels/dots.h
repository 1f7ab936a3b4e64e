#pragma once

#include <cstddef>
#include <cstdint>

namespace chunkkv::kernels {

/// Attention logits before scaling: out[h][i][c] = q[h][i] . k[kv head of h][c], in single precision.
struct DotsTask {
  std::int64_t n_cells = 0;
  std::int64_t n_queries = 0;
  std::int64_t n_head = 0;
  std::int64_t n_head_kv = 0;
  std::int64_t depth = 0;   ///< a multiple of 16, at most kMostDotsDepth
  const char* k = nullptr;  ///< [n_head_kv][n_cells][depth], strides in bytes
  std::size_t k_head = 0, k_cell = 0;
  bool k_half = true;       ///< keys are F16; else F32
  const char* q = nullptr;  ///< [n_head][n_queries][depth] floats
  std::size_t q_head = 0, q_query = 0;
  /// [n_cells]: if given, `out` is [n_head_kv][n_queries][n_cells], the greatest logits of the heads of a KV
  /// head: minus infinity in cells whose flag is 0.
  const std::uint8_t* past = nullptr;
  float* out = nullptr;  ///< [n_head][n_queries][n_cells], contiguous
};

constexpr std::int64_t kMostDotsDepth = 512;

/// Whether this processor can run `dots`: AVX-512.
bool has_fast_dots();

/// Computes the share of thread `thread` of `n_threads`: some of the cells. Only where has_fast_dots().
void dots(const DotsTask& task, int thread, int n_threads);

}  // namespace chunkkv::kernels
