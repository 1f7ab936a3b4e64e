// Compiled for AVX2 with AVX-VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpdpbusd` multiplies 32 numbers and adds up fours in 32 bits.
struct BytesInFours {
  using Vector = Vectors<8>;
  using I = Vector::I;
  static constexpr bool kIsWide = true;

  static CHUNKKV_INLINE I with_products(I sum, I w, I x) {
    return (I)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
  }
  static CHUNKKV_INLINE I widened(I sums) { return sums; }
};

}  // namespace

const ProductKernel kProductBytesAvxvnni = byte_product<BytesInFours>("8-bit integers, AVX-VNNI");

}  // namespace chunkkv::kernels
