#pragma once

#include "kernels/attention.h"
#include "kernels/decode_attention.h"
#include "kernels/row_statistics.h"
#include "kernels/similar_keys.h"
#include "kernels/soft_max.h"
#include "kernels/token_rows.h"

#include <vector>

namespace chunkkv::kernels {

/// The kernels in one arithmetic. Without a name: it has none of the kind.
struct KernelSet {
  AttentionKernel attention{};
  DecodeAttentionKernel decode_attention{};
  SimilarKeysKernel similar_keys{};
  RowStatisticsKernel row_statistics{};
  SoftMaxKernel soft_max{};
  TokenRowsKernel token_rows{};
};

// Each is in a source that is compiled for the processors that can run it.
KernelSet kernels_avx2();
KernelSet kernels_avxvnni();
KernelSet kernels_avx512();
KernelSet kernels_avx512vnni();
KernelSet kernels_avx512bf16();
KernelSet kernels_avx512fp16();
KernelSet kernels_amx();

/// Those that this processor can run, the fastest first.
const std::vector<KernelSet>& kernel_sets();

/// The kernels of one kind in `sets`.
template <class Kernel>
std::vector<Kernel> kernels_of(const std::vector<KernelSet>& sets, Kernel KernelSet::*kind) {
  std::vector<Kernel> kernels;
  for (const KernelSet& set : sets)
    if ((set.*kind).name != nullptr) kernels.push_back(set.*kind);
  return kernels;
}

}  // namespace chunkkv::kernels
