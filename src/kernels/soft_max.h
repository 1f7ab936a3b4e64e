#pragma once

#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// One implementation, in single precision.
struct SoftMaxKernel {
  const char* name;
  /// sums[n] += the soft max of `scale` times each of the logits, [n]; minus infinity gets 0. Overwrites the
  /// logits.
  void (*add)(float* logits, std::int64_t n, float scale, float* sums);
};

/// All kernels on vectors in plain C++, for tests.
const std::vector<SoftMaxKernel>& emulated_soft_max_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<SoftMaxKernel>& soft_max_kernels();

}  // namespace chunkkv::kernels
