#include "kernels/product.h"

#include "kernels/amx_tiles.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace chunkkv::kernels {

#ifdef CHUNKKV_AVX2
namespace {

/// The processor's answer to leaf 7; 0 where it has none.
struct Features {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  explicit Features(unsigned part) { __get_cpuid_count(7, part, &eax, &ebx, &ecx, &edx); }
};

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

// Not used where a compiler cannot compile the kernels.
[[maybe_unused]] bool has_avxvnni() {
  constexpr unsigned avxvnni = 1u << 4;
  return has_avx2() && (Features(1).eax & avxvnni) != 0;
}
[[maybe_unused]] bool has_avx512vnni() {
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
[[maybe_unused]] bool has_avx512fp16() {
  constexpr unsigned avx512fp16 = 1u << 23;
  return (Features(0).edx & avx512fp16) != 0 && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace
#endif

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
