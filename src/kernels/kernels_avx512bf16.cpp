// Compiled for AVX-512 with BF16, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_pairs.h"
#include "kernels/attention_shape.h"
#include "kernels/bf16_pairs.h"
#include "kernels/kernel_set.h"

namespace chunkkv::kernels {

KernelSet kernels_avx512bf16() {
  return {.attention = attention_kernel<PairPrecision<Bf16Pairs>>("AVX512-BF16")};
}

}  // namespace chunkkv::kernels
