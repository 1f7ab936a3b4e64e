#include "kernels/similar_keys.h"

#include "kernels/attention_kernels.h"
#include "kernels/choice.h"

namespace chunkkv::kernels {

const std::vector<SimilarKeysKernel>& similar_keys_kernels() {
  static const std::vector<SimilarKeysKernel> kernels = [] {
    std::vector<SimilarKeysKernel> result;
    [[maybe_unused]] const Machine machine = this_processor();
#ifdef CHUNKKV_AMX
    if (machine.amx) result.push_back(similar_keys_amx());
#endif
#ifdef CHUNKKV_AVX512
    if (machine.avx512) result.push_back(similar_keys_avx512());
#endif
#ifdef CHUNKKV_AVX2
    if (machine.avx2) result.push_back(similar_keys_avx2());
#endif
    return result;
  }();
  return kernels;
}

}  // namespace chunkkv::kernels
