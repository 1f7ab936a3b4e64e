// Compiled for AVX-512 with BF16, and run only where there are tiles too. Nothing here may use templates or
// inline functions of others: the linker might keep this file's copy of them for all.
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
