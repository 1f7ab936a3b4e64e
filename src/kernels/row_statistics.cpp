#include "kernels/row_statistics.h"

#include "kernels/attention_kernels.h"
#include "kernels/choice.h"

namespace chunkkv::kernels {

const std::vector<RowStatisticsKernel>& row_statistics_kernels() {
  static const std::vector<RowStatisticsKernel> kernels = [] {
    std::vector<RowStatisticsKernel> result;
    [[maybe_unused]] const Machine machine = this_processor();
#ifdef CHUNKKV_AVX512
    if (machine.avx512) result.push_back(row_statistics_avx512());
#endif
#ifdef CHUNKKV_AVX2
    if (machine.avx2) result.push_back(row_statistics_avx2());
#endif
    return result;
  }();
  return kernels;
}

}  // namespace chunkkv::kernels
