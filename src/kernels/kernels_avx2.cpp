// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/attention_f32.h"
#include "kernels/attention_shape.h"
#include "kernels/decode_attention_shape.h"
#include "kernels/integer_keys.h"
#include "kernels/kernel_set.h"
#include "kernels/row_statistics_shape.h"
#include "kernels/similar_keys_shape.h"
#include "kernels/soft_max_shape.h"
#include "kernels/token_rows_shape.h"
#include "kernels/word_pairs.h"

namespace chunkkv::kernels {

KernelSet kernels_avx2() {
  using Single = SinglePrecision<Vectors<8>, 4, 3>;
  return {.attention = attention_kernel<Single>("AVX2"),
          .decode_attention = decode_attention_kernel<Vectors<8>>("AVX2"),
          .similar_keys = similar_keys_kernel<IntegerKeys<WordPairs<8>, 4, 2>>("AVX2"),
          .row_statistics = row_statistics_kernel<Vectors<8>>("AVX2"),
          .soft_max = soft_max_kernel<Vectors<8>>("AVX2"),
          .token_rows = token_rows_kernel<Vectors<8>>("AVX2")};
}

}  // namespace chunkkv::kernels
