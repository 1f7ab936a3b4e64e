#include "kernels/product.h"

#include "kernels/amx_tiles.h"
#include "kernels/processor.h"

namespace chunkkv::kernels {

const std::vector<const ProductKernel*>& product_kernels() {
  static const std::vector<const ProductKernel*> result = [] {
    std::vector<const ProductKernel*> kernels;
#ifdef CHUNKKV_AMX
    if (has_amx()) kernels.push_back(&kProductAmx);
#endif
#ifdef CHUNKKV_AVX512VNNI
    if (has_avx512vnni()) kernels.push_back(&kProductBytesAvx512vnni);
#endif
#ifdef CHUNKKV_AVX512FP16
    if (has_avx512fp16()) kernels.push_back(&kProductAvx512fp16);
#endif
#ifdef CHUNKKV_AVX512VNNI
    if (has_avx512vnni()) kernels.push_back(&kProductWordsAvx512vnni);
#endif
#ifdef CHUNKKV_AVXVNNI
    if (has_avxvnni()) kernels.push_back(&kProductBytesAvxvnni);
#endif
#ifdef CHUNKKV_AVX2
    if (has_avx2()) {
      kernels.push_back(&kProductBytesAvx2);
      kernels.push_back(&kProductWordsAvx2);
    }
#endif
    return kernels;
  }();
  return result;
}

const ProductKernel* product_kernel(Arithmetic arithmetic) {
  for (const ProductKernel* kernel : product_kernels())
    if (kernel->arithmetic == arithmetic) return kernel;
  return nullptr;
}

}  // namespace chunkkv::kernels
