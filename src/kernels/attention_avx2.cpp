// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_f32.h"
#include "kernels/attention_kernels.h"
#include "kernels/attention_shape.h"
#include "kernels/decode_attention_shape.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys_shape.h"

namespace chunkkv::kernels {

AttentionKernel attention_avx2() {
  return attention_kernel<SinglePrecision<Vectors<8>, 4, 3>>("AVX2");
}

DecodeAttentionKernel decode_attention_avx2() {
  return decode_attention_kernel<Vectors<8>>("AVX2");
}

SimilarKeysKernel similar_keys_avx2() {
  return similar_keys_kernel<SinglePrecision<Vectors<8>, 4, 3>>("AVX2");
}

RowStatisticsKernel row_statistics_avx2() {
  return row_statistics_kernel<Vectors<8>>("AVX2");
}

}  // namespace chunkkv::kernels
