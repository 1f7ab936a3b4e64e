// Compiled for AVX-512 with VNNI, and run only on processors that have both. Nothing here may use templates
// or inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_words_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpdpwssd` multiplies 32 numbers and adds pairs up to the sums.
struct WordsInPairs {
  using Vector = Vectors<16>;
  using I = Vector::I;

  static CHUNKKV_INLINE I with_products(I sum, I w, I pair) {
    return (I)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, (__m512i)pair);
  }
};

}  // namespace

const ProductKernel kProductWordsAvx512vnni = word_product<WordsInPairs>("16-bit integers, AVX512-VNNI");

}  // namespace chunkkv::kernels
