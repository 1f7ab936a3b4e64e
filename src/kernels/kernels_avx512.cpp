// Compiled for AVX-512, and run only on processors that have it. Nothing here may use templates or inline
// functions with external linkage: the linker might keep this file's copy for the whole program.
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

KernelSet kernels_avx512() {
  using Single = SinglePrecision<Vectors<16>, 8, 2>;
  return {.attention = attention_kernel<Single>("AVX-512"),
          .decode_attention = decode_attention_kernel<Vectors<16>>("AVX-512"),
          .similar_keys = similar_keys_kernel<IntegerKeys<WordPairs<16>, 8, 2>>("AVX-512"),
          .row_statistics = row_statistics_kernel<Vectors<16>>("AVX-512"),
          .soft_max = soft_max_kernel<Vectors<16>>("AVX-512"),
          .token_rows = token_rows_kernel<Vectors<16>>("AVX-512")};
}

}  // namespace chunkkv::kernels
