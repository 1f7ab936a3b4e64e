// Compiled for AVX-512 with VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpdpbusd` multiplies 64 numbers and adds up fours in 32 bits.
struct BytesInFours {
  using Vector = Vectors<16>;
  using I = Vector::I;
  static constexpr bool kIsWide = true;

  static CHUNKKV_INLINE I with_products(I sum, I w, I x) {
    return (I)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
  }
  static CHUNKKV_INLINE I widened(I sums) { return sums; }
};

}  // namespace

const ProductKernel kProductBytesAvx512vnni = byte_product<BytesInFours>("8-bit integers, AVX512-VNNI");

}  // namespace chunkkv::kernels
