#include "kernels/product.h"

#ifdef CHUNKKV_AVX512FP16
#include <cpuid.h>

namespace chunkkv::kernels {

bool has_fast_product() {
  static const bool result = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned avx512_fp16 = 1u << 23;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & avx512_fp16) != 0 &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }();
  return result;
}

}  // namespace chunkkv::kernels
#else
namespace chunkkv::kernels {

bool has_fast_product() {
  return false;
}
std::size_t product_shared_bytes(const ProductTask&) {
  return 0;
}
std::size_t product_thread_bytes(const ProductTask&) {
  return 0;
}
void product(const ProductTask&, int, int, char*, char*, std::atomic<std::uint64_t>&) {}

}  // namespace chunkkv::kernels
#endif
