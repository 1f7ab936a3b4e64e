#include "kernels/attention.h"

#include "kernels/attention_kernels.h"
#include "kernels/choice.h"

namespace chunkkv::kernels {

const std::vector<AttentionKernel>& attention_kernels() {
  static const std::vector<AttentionKernel> kernels = [] {
    std::vector<AttentionKernel> result;
    [[maybe_unused]] const Machine machine = this_processor();
#ifdef CHUNKKV_AMX
    if (machine.amx) result.push_back(attention_amx());
#endif
#ifdef CHUNKKV_AVX512FP16
    if (machine.avx512fp16) result.push_back(attention_avx512fp16());
#endif
#ifdef CHUNKKV_AVX512
    if (machine.avx512) result.push_back(attention_avx512());
#endif
#ifdef CHUNKKV_AVX2
    if (machine.avx2) result.push_back(attention_avx2());
#endif
    return result;
  }();
  return kernels;
}

}  // namespace chunkkv::kernels
