// Compiled for AVX2 with FMA, and run only on processors that have both. Nothing here may use templates or
// inline functions with external linkage: the linker might keep this file's copy for the whole program.
#include "kernels/product_words_shape.h"

namespace chunkkv::kernels {
namespace {

/// `vpmaddwd` multiplies 16 numbers and adds up pairs, where F32 multiplies 8.
struct WordsInPairs {
  using Vector = Vectors<8>;
  using I = Vector::I;

  /// Assembly, so that GCC keeps the order and sums in registers.
  static CHUNKKV_INLINE I with_products(I sum, I w, I pair) {
    I products;
    asm volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(w), "x"(pair));
    return sum;
  }
};

}  // namespace

const ProductKernel kProductWordsAvx2 = word_product<WordsInPairs>("16-bit integers, AVX2");

}  // namespace chunkkv::kernels
