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
  Weights weights;          ///< their depth is a multiple of kProductDepth
  const char* x = nullptr;  ///< [n_tokens][depth] floats
  std::size_t x_row = 0;    ///< bytes from token to token
  /// Shared memory holds what the kernel has made of x, with weights whose `quants` have the same offset and
  /// part.
  bool is_packed = false;
  char* out = nullptr;      ///< [n_tokens][n_out] floats
  std::size_t out_row = 0;  ///< bytes from token to token
};

constexpr std::int64_t kProductOutputs = 64;
constexpr std::int64_t kProductDepth = 32;

enum class Arithmetic : std::uint8_t {
  engine,      ///< the engine's own kernels
  words,       ///< weights and activations as whole numbers of 13 bits
  bytes,       ///< activations of 8 bits, weights as the whole numbers of ByteQuants
  f16_avx512,  ///< needs AVX512-FP16
  bf16_amx,
};

/// One way to compute a product. A token's row of results depends on nothing but its own activations and the
/// weights. An activation that is not finite spoils only its token's row, and a weight only its output.
struct ProductKernel {
  Arithmetic arithmetic = Arithmetic::engine;
  const char* name = nullptr;
  bool widens = false;          ///< with Arithmetic::bytes: reads ByteQuants whose `chain` is 0
  bool reads_by_depth = false;  ///< also reads layouts with BlockLayout::by_depth
  /// How many bytes of memory the threads of a product share; they must be aligned to 64.
  std::size_t (*shared_bytes)(const ProductTask& task) = nullptr;
  /// How many bytes each thread needs for itself, aligned to 64 as well.
  std::size_t (*thread_bytes)(const ProductTask& task) = nullptr;
  /// Computes the share of thread `thread` of `n_threads`. All of them must call this at the same time, with
  /// the same `shared` memory and team and with memory of their own.
  void (*run)(const ProductTask& task, int thread, int n_threads, char* shared, char* own,
              Team& team) = nullptr;
};

/// Whether a kernel with Arithmetic::bytes can read `quants`. Static: each source keeps its own copy.
static inline bool can_read(const ProductKernel& kernel, const ByteQuants& quants) {
  return kernel.widens || quants.chain > 0;
}

// Each is in a source compiled for the processors that can run it.
extern const ProductKernel kProductAmx, kProductAvx512fp16, kProductWordsAvx2, kProductWordsAvx512vnni,
    kProductBytesAvx2, kProductBytesAvxvnni, kProductBytesAvx512vnni;

/// The kernels that this processor can run, the fastest first; none on processors other than x86 with AVX2.
const std::vector<const ProductKernel*>& product_kernels();
/// The fastest with this arithmetic, or null.
const ProductKernel* product_kernel(Arithmetic arithmetic);

}  // namespace chunkkv::kernels
