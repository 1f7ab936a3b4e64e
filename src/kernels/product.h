#pragma once

#include "kernels/team.h"
#include "kernels/weights.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// The product of a layer's weights with the activations of many tokens: out[t][o] = sum_k w[o][k] x[t][k].
struct ProductTask {
  std::int64_t n_tokens = 0;
  std::int64_t n_out = 0;   ///< a multiple of kProductOutputs
  Weights weights;          ///< a multiple of kProductDepth deep
  const char* x = nullptr;  ///< [n_tokens][depth] floats
  std::size_t x_row = 0;    ///< bytes
  char* out = nullptr;      ///< [n_tokens][n_out] floats
  std::size_t out_row = 0;  ///< bytes
};

constexpr std::int64_t kProductOutputs = 64;
constexpr std::int64_t kProductDepth = 32;

enum class Arithmetic : std::uint8_t {
  engine,         ///< the engine's own kernels
  integers_avx2,  ///< whole numbers of 13 bits
  bytes_avx2,     ///< 8 bits, from weights that are read as whole numbers
  f16_avx512,     ///< needs AVX512-FP16
  bf16_amx,
};

/// One way to compute a product. A token's row depends on nothing but its own activations and the weights; a
/// number that is not finite spoils its own row or output and no other.
struct ProductKernel {
  Arithmetic arithmetic = Arithmetic::engine;
  const char* name = nullptr;
  bool reads_by_depth = false;  ///< layouts that are by depth, too
  /// Memory that the threads of a product need, in bytes; to be aligned to 64. The first part is shared.
  std::size_t (*shared_bytes)(const ProductTask& task) = nullptr;
  std::size_t (*thread_bytes)(const ProductTask& task) = nullptr;
  /// The share of thread `thread` of `n_threads`, which must all call this at the same time with the same
  /// `shared` memory and team.
  void (*run)(const ProductTask& task, int thread, int n_threads, char* shared, char* own,
              Team& team) = nullptr;
};

// Each is in a source compiled for the processors that can run it.
extern const ProductKernel kProductAmx, kProductAvx512fp16, kProductAvx2, kProductBytesAvx2;

/// Those that this processor can run. None on other processors than x86 with AVX2.
const std::vector<const ProductKernel*>& product_kernels();
/// One of them, or null.
const ProductKernel* product_kernel(Arithmetic arithmetic);

}  // namespace chunkkv::kernels
