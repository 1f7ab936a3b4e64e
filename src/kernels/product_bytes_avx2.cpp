// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpmaddubsw` multiplies 32 numbers and adds up pairs in 16 bits, in which few of them fit (ByteQuants).
struct BytesInPairs {
  using Vector = Vectors<8>;
  using Sums = __m256i;
  static constexpr bool kIsWide = false;

  static CHUNKKV_INLINE Sums zero() { return _mm256_setzero_si256(); }
  static CHUNKKV_INLINE Sums load(const char* from) { return _mm256_load_si256((const __m256i*)from); }
  static CHUNKKV_INLINE Sums all(const signed char* four) { return _mm256_set1_epi32(*(const int*)four); }

  /// Returns sum + the products of neighbours. Assembly, so that GCC keeps the order and sums in registers.
  static CHUNKKV_INLINE Sums with_products(Sums sum, Sums w, Sums x) {
    __m256i products;
    asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(x));
    return sum;
  }
  static CHUNKKV_INLINE Vector::I widened(Sums sums) {
    return (Vector::I)_mm256_madd_epi16(sums, _mm256_set1_epi16(1));
  }
};

}  // namespace

const ProductKernel kProductBytesAvx2 = byte_product<BytesInPairs>("8-bit integers, AVX2");

}  // namespace chunkkv::kernels
