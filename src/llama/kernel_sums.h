#pragma once

#include "kernels/attention.h"
#include "llama/attention_sums.h"

#include <vector>

namespace chunkkv::engine {

/// Column sums of `queries`, by cell: [n_head][n_kv], by the kernel that computed their attention. It knows
/// each query's maximum and sum, so that only the logits are computed again.
std::vector<float> kernel_sums(Compute& compute, const CacheLayer& cache, const kernels::AttentionTask& task,
                               QueryRange queries);

}  // namespace chunkkv::engine
