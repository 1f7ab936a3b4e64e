#include "kernels/kernel_set.h"

#include "kernels/choice.h"

namespace chunkkv::kernels {

const std::vector<KernelSet>& kernel_sets() {
  static const std::vector<KernelSet> sets = [] {
    std::vector<KernelSet> result;
    [[maybe_unused]] const Machine machine = this_processor();
#ifdef CHUNKKV_AMX
    if (machine.amx) result.push_back(kernels_amx());
#endif
#ifdef CHUNKKV_AVX512VNNI
    if (machine.avx512vnni) result.push_back(kernels_avx512vnni());
#endif
#ifdef CHUNKKV_AVX512FP16
    if (machine.avx512fp16) result.push_back(kernels_avx512fp16());
#endif
#ifdef CHUNKKV_AVX512BF16
    if (machine.avx512bf16) result.push_back(kernels_avx512bf16());
#endif
#ifdef CHUNKKV_AVXVNNI
    if (machine.vnni && !machine.avx512vnni) result.push_back(kernels_avxvnni());
#endif
#ifdef CHUNKKV_AVX512
    if (machine.avx512) result.push_back(kernels_avx512());
#endif
#ifdef CHUNKKV_AVX2
    if (machine.avx2) result.push_back(kernels_avx2());
#endif
    return result;
  }();
  return sets;
}

const std::vector<AttentionKernel>& attention_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::attention);
  return kernels;
}

const std::vector<DecodeAttentionKernel>& decode_attention_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::decode_attention);
  return kernels;
}

const std::vector<SimilarKeysKernel>& similar_keys_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::similar_keys);
  return kernels;
}

const std::vector<RowStatisticsKernel>& row_statistics_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::row_statistics);
  return kernels;
}

const std::vector<SoftMaxKernel>& soft_max_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::soft_max);
  return kernels;
}

const std::vector<TokenRowsKernel>& token_rows_kernels() {
  static const auto kernels = kernels_of(kernel_sets(), &KernelSet::token_rows);
  return kernels;
}

}  // namespace chunkkv::kernels
