// Compiled for AVX-512 with VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpdpbusd` multiplies 64 numbers and adds up fours in 32 bits.
struct BytesInFours {
  using Vector = Vectors<16>;
  using Sums = __m512i;
  static constexpr bool kIsWide = true;

  static CHUNKKV_INLINE Sums zero() { return _mm512_setzero_si512(); }
  static CHUNKKV_INLINE Sums load(const char* from) { return _mm512_load_si512(from); }
  static CHUNKKV_INLINE Sums all(const signed char* four) { return _mm512_set1_epi32(*(const int*)four); }
  static CHUNKKV_INLINE Sums with_products(Sums sum, Sums w, Sums x) {
    return _mm512_dpbusd_epi32(sum, w, x);
  }
  static CHUNKKV_INLINE Vector::I widened(Sums sums) { return (Vector::I)sums; }
};

}  // namespace

const ProductKernel kProductBytesAvx512vnni = byte_product<BytesInFours>("8-bit integers, AVX512-VNNI");

}  // namespace chunkkv::kernels
