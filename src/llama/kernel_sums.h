#pragma once

#include "kernels/attention.h"
#include "llama/attention_sums.h"

#include <vector>

namespace chunkkv::engine {

/// Column sums of the attention weights of `queries`, by cell: [n_head][n_kv]. The kernel that computed their
/// attention knows each query's maximum and sum (`task`), so that only the logits are computed again.
std::vector<float> kernel_sums(Compute& compute, const CacheLayer& cache, const kernels::AttentionTask& task,
                               QueryRange queries);

}  // namespace chunkkv::engine
