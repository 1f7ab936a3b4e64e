#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/soft_max.h"

namespace chunkkv::kernels {
namespace {

/// Goes over the logits three times: for the greatest, for their powers and the sum of these, for the shares.
template <class V>
class SoftMax {
  using F = typename V::F;
  using I = typename V::I;
  static constexpr int kTogether = 4;  // vectors of which none waits for another

 public:
  static void add(float* logits, std::int64_t n, float scale, float* sums) {
    const F unit = V::all(scale * kLog2e);  // powers of two
    const F top = V::all(greatest(logits, n)) * unit;
    const auto power = [&](F logit) __attribute__((always_inline)) {
      return (F)((I)V::template exp2<5>(logit * unit - top) & (logit != V::all(-__builtin_inff())));
    };
    F totals[kTogether] = {};
    std::int64_t i = 0;
    for (; i + kTogether * V::kWidth <= n; i += kTogether * V::kWidth)
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) {
        const F own = power(V::load(logits + i + k * V::kWidth));
        V::store(logits + i + k * V::kWidth, own);
        totals[k] += own;
      }
    float rest = 0;
    for (; i < n; ++i) rest += logits[i] = power(V::all(logits[i]))[0];
    float parts[4];
    V::store_sums(totals[0], totals[1], totals[2], totals[3], parts);
    const float factor = 1 / (parts[0] + parts[1] + parts[2] + parts[3] + rest);
    for (i = 0; i + V::kWidth <= n; i += V::kWidth)
      V::store(sums + i, V::load(sums + i) + V::load(logits + i) * V::all(factor));
    for (; i < n; ++i) sums[i] += logits[i] * factor;
  }

 private:
  static constexpr float kLog2e = 1.44269504F;

  /// Numbers that are none do not count: their powers tell of them.
  static float greatest(const float* logits, std::int64_t n) {
    F most[kTogether];
    for (F& own : most) own = V::all(-__builtin_inff());
    std::int64_t i = 0;
    for (; i + kTogether * V::kWidth <= n; i += kTogether * V::kWidth)
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) most[k] = V::maximum(V::load(logits + i + k * V::kWidth), most[k]);
    float lanes[V::kWidth];
    V::store(lanes, V::maximum(V::maximum(most[0], most[1]), V::maximum(most[2], most[3])));
    float top = lanes[0];
    for (const float lane : lanes) top = lane > top ? lane : top;
    for (; i < n; ++i) top = logits[i] > top ? logits[i] : top;
    return top;
  }
};

template <class V>
SoftMaxKernel soft_max_kernel(const char* name) {
  return {name, &SoftMax<V>::add};
}

}  // namespace
}  // namespace chunkkv::kernels
