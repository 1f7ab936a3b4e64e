#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace chunkkv::kernels {

/// The product of a layer's weights with the activations of many tokens: out[t][o] = sum_k w[o][k] x[t][k].
struct ProductTask {
  std::int64_t n_tokens = 0;
  std::int64_t n_out = 0;         ///< a multiple of product_outputs
  std::int64_t depth = 0;         ///< a multiple of product_depth
  const char* weights = nullptr;  ///< [n_out] rows of `depth` numbers
  std::size_t weights_row = 0;    ///< bytes from row to row
  void (*to_float)(const void* row, float* to, std::int64_t count) = nullptr;  ///< null: rows of F32
  const char* x = nullptr;                                                     ///< [n_tokens][depth] floats
  std::size_t x_row = 0;                                                       ///< bytes
  char* out = nullptr;                                                         ///< [n_tokens][n_out] floats
  std::size_t out_row = 0;                                                     ///< bytes
};

constexpr std::int64_t product_outputs = 64;
constexpr std::int64_t product_depth = 32;

/// Whether this processor can run `product`: AVX-512 with FP16.
bool has_fast_product();

/// Memory that the threads of a product need, in bytes; to be aligned to 64. The first part is shared.
std::size_t product_shared_bytes(const ProductTask& task);
std::size_t product_thread_bytes(const ProductTask& task);

/// The share of thread `thread` of `n_threads`, which must all call this at the same time with the same
/// `shared` memory and `arrived` counter (0 before its first use). Weights and activations are rounded to
/// F16, in powers that neither overflow nor vanish; F16 sums are kept for 64 products and added up in F32. A
/// token's row depends on nothing but its own activations and the weights. Only with has_fast_product.
void product(const ProductTask& task, int thread, int n_threads, char* shared, char* own,
             std::atomic<std::uint64_t>& arrived);

}  // namespace chunkkv::kernels
