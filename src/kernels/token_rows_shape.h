#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/token_rows.h"

namespace chunkkv::kernels {
namespace {

template <class V>
class TokenRows {
  using F = typename V::F;

 public:
  static void rms_norm(const float* x, const float* w, std::int64_t n, float epsilon, float* out) {
    const float scale = 1 / __builtin_sqrtf(squares(x, n) / float(n) + epsilon);
    std::int64_t i = 0;
    for (; i + V::kWidth <= n; i += V::kWidth)
      V::store(out + i, V::load(x + i) * V::all(scale) * V::load(w + i));
    for (; i < n; ++i) out[i] = x[i] * scale * w[i];
  }

  static void rotate(const float* x, std::int64_t n, RotationPairs pairs, const float* cosines,
                     const float* sines, float* out) {
    pairs == RotationPairs::neighbours ? rotate_neighbours(x, n, cosines, sines, out)
                                       : rotate_halves(x, n, cosines, sines, out);
  }

 private:
  static float squares(const float* x, std::int64_t n) {
    F sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 * V::kWidth <= n; i += 4 * V::kWidth)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums[k] += V::load(x + i + k * V::kWidth) * V::load(x + i + k * V::kWidth);
    const F all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float sum = 0;
    for (int lane = 0; lane < V::kWidth; ++lane) sum += all[lane];
    for (; i < n; ++i) sum += x[i] * x[i];
    return sum;
  }

  static void rotate_neighbours(const float* x, std::int64_t n, const float* cosines, const float* sines,
                                float* out) {
    std::int64_t i = 0;
    for (; i + V::kWidth <= n; i += V::kWidth) {
      const F row = V::load(x + i);
      V::store(out + i, row * V::load(cosines + i) + swapped(row) * V::load(sines + i));
    }
    for (; i < n; i += 2) rotate_pair(x[i], x[i + 1], cosines[i], sines[i + 1], out[i], out[i + 1]);
  }

  static void rotate_halves(const float* x, std::int64_t n, const float* cosines, const float* sines,
                            float* out) {
    const std::int64_t half = n / 2;
    std::int64_t i = 0;
    for (; i + V::kWidth <= half; i += V::kWidth) {
      const F a = V::load(x + i), b = V::load(x + half + i);
      V::store(out + i, a * V::load(cosines + i) + b * V::load(sines + i));
      V::store(out + half + i, b * V::load(cosines + half + i) + a * V::load(sines + half + i));
    }
    for (; i < half; ++i) rotate_pair(x[i], x[half + i], cosines[i], sines[half + i], out[i], out[half + i]);
  }

  static CHUNKKV_INLINE F swapped(F x) {
    if constexpr (V::kWidth == 16)
      return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    else
      return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
  }
  static void rotate_pair(float a, float b, float cosine, float sine, float& first, float& second) {
    first = a * cosine - b * sine;
    second = b * cosine + a * sine;
  }
};

template <class V>
TokenRowsKernel token_rows_kernel(const char* name) {
  return {name, &TokenRows<V>::rms_norm, &TokenRows<V>::rotate};
}

}  // namespace
}  // namespace chunkkv::kernels
