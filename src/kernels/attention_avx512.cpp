// Compiled for AVX-512, and run only on processors that have it. Nothing here may use templates or inline
// functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_f32.h"
#include "kernels/attention_kernels.h"
#include "kernels/attention_shape.h"
#include "kernels/decode_attention_shape.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys_shape.h"

namespace chunkkv::kernels {

AttentionKernel attention_avx512() {
  return attention_kernel<SinglePrecision<Vectors<16>, 8, 3>>("AVX-512");
}

DecodeAttentionKernel decode_attention_avx512() {
  return decode_attention_kernel<Vectors<16>>("AVX-512");
}

SimilarKeysKernel similar_keys_avx512() {
  return similar_keys_kernel<SinglePrecision<Vectors<16>, 8, 3>>("AVX-512");
}

RowStatisticsKernel row_statistics_avx512() {
  return row_statistics_kernel<Vectors<16>>("AVX-512");
}

}  // namespace chunkkv::kernels
