#pragma once

#include "kernels/attention.h"
#include "kernels/decode_attention.h"
#include "kernels/row_statistics.h"
#include "kernels/similar_keys.h"

namespace chunkkv::kernels {

// Each is in a source that is compiled for the processors that can run it.
AttentionKernel attention_avx2();
AttentionKernel attention_avx512();
AttentionKernel attention_avx512fp16();
AttentionKernel attention_amx();
DecodeAttentionKernel decode_attention_avx2();
DecodeAttentionKernel decode_attention_avx512();
SimilarKeysKernel similar_keys_avx2();
SimilarKeysKernel similar_keys_avx512();
SimilarKeysKernel similar_keys_amx();
RowStatisticsKernel row_statistics_avx2();
RowStatisticsKernel row_statistics_avx512();

}  // namespace chunkkv::kernels
