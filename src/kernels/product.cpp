#include "kernels/product.h"

#include "kernels/amx_tiles.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace chunkkv::kernels {

#ifdef CHUNKKV_AVX512FP16
namespace {

bool has_avx512fp16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned avx512_fp16 = 1u << 23;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & avx512_fp16) != 0 &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

}  // namespace
#endif
const std::vector<const ProductKernel*>& product_kernels() {
  static const std::vector<const ProductKernel*> result = [] {
    std::vector<const ProductKernel*> kernels;
#ifdef CHUNKKV_AMX
    if (has_amx()) kernels.push_back(&kProductAmx);
#endif
#ifdef CHUNKKV_AVX512FP16
    if (has_avx512fp16()) kernels.push_back(&kProductAvx512fp16);
#endif
#ifdef CHUNKKV_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      kernels.push_back(&kProductAvx2);
      kernels.push_back(&kProductBytesAvx2);
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
