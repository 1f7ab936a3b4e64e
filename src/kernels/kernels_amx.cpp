// Compiled for AVX-512 with BF16, and run only on processors with AMX. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_bf16.h"
#include "kernels/attention_shape.h"
#include "kernels/kernel_set.h"
#include "kernels/similar_keys_shape.h"

namespace chunkkv::kernels {

KernelSet kernels_amx() {
  return {.attention = attention_kernel<TilePrecision<Tiles>>("AMX-BF16"),
          .similar_keys = similar_keys_kernel<TilePrecision<Tiles>>("AMX-BF16")};
}

}  // namespace chunkkv::kernels
