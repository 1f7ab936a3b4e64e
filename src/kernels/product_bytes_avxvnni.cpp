// Compiled for AVX2 with AVX-VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpdpbusd` multiplies 32 numbers and adds up fours in 32 bits.
struct BytesInFours {
  using Vector = Vectors<8>;
  using Sums = __m256i;
  static constexpr bool kIsWide = true;

  static CHUNKKV_INLINE Sums zero() { return _mm256_setzero_si256(); }
  static CHUNKKV_INLINE Sums load(const char* from) { return _mm256_load_si256((const __m256i*)from); }
  static CHUNKKV_INLINE Sums all(const signed char* four) { return _mm256_set1_epi32(*(const int*)four); }
  static CHUNKKV_INLINE Sums with_products(Sums sum, Sums w, Sums x) {
    return _mm256_dpbusd_avx_epi32(sum, w, x);
  }
  static CHUNKKV_INLINE Vector::I widened(Sums sums) { return (Vector::I)sums; }
};

}  // namespace

const ProductKernel kProductBytesAvxvnni = byte_product<BytesInFours>("8-bit integers, AVX-VNNI");

}  // namespace chunkkv::kernels
