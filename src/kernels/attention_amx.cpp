// Compiled for AVX-512 with BF16, and run only on processors with AMX. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_bf16.h"
#include "kernels/attention_kernels.h"
#include "kernels/attention_shape.h"
#include "kernels/similar_keys_shape.h"

namespace chunkkv::kernels {

AttentionKernel attention_amx() {
  return attention_kernel<TilePrecision<Tiles>>("AMX-BF16");
}

SimilarKeysKernel similar_keys_amx() {
  return similar_keys_kernel<TilePrecision<Tiles>>("AMX-BF16");
}

}  // namespace chunkkv::kernels
