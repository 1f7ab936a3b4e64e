#include "kernels/dots.h"

#include "kernels/processor.h"

namespace chunkkv::kernels {

#ifdef CHUNKKV_AVX512
bool has_fast_dots() {
  return has_avx512();
}
#else
bool has_fast_dots() {
  return false;
}
void dots(const DotsTask&, int, int) {}
#endif

}  // namespace chunkkv::kernels
