// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_bytes_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpmaddubsw` multiplies 32 numbers and adds up pairs in 16 bits, in which few of them fit (ByteQuants).
struct BytesInPairs {
  using Vector = Vectors<8>;
  using I = Vector::I;
  static constexpr bool kIsWide = false;

  /// Returns sum + the products of neighbours. Assembly, so that GCC keeps the order and sums in registers.
  static CHUNKKV_INLINE I with_products(I sum, I w, I x) {
    I products;
    asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(x));
    return sum;
  }
  static CHUNKKV_INLINE I widened(I sums) {
    return (I)_mm256_madd_epi16((__m256i)sums, _mm256_set1_epi16(1));
  }
};

}  // namespace

const ProductKernel kProductBytesAvx2 = byte_product<BytesInPairs>("8-bit integers, AVX2");

}  // namespace chunkkv::kernels
