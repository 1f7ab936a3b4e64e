#include "kernels/dots.h"

namespace chunkkv::kernels {

#ifdef CHUNKKV_AVX512
bool has_fast_dots() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#else
bool has_fast_dots() {
  return false;
}
void dots(const DotsTask&, int, int) {}
#endif

}  // namespace chunkkv::kernels
