#pragma once

#include "kernels/attention_vectors.h"
#include "kernels/similar_keys.h"

namespace chunkkv::kernels {
namespace {

/// The keys of a task in single precision, wherever they are.
template <class V>
struct ExactKeys {
  using F = typename V::F;

  struct Key {
    const float* numbers = nullptr;
    const char* row = nullptr;
    float factor = 0;

    CHUNKKV_INLINE Key(const SimilarKeysTask& task, std::int64_t i) {
      if (task.keys != nullptr) {
        numbers = task.keys + i * task.depth;
      } else {
        row = task.rows.rows + task.rows.row_bytes * std::size_t(task.rows.cells[i]);
        factor = task.factors[i];
      }
    }
    CHUNKKV_INLINE F at(std::int64_t d) const {
      return numbers != nullptr ? of_any_length(d) : of_any_length(d) * V::all(factor);
    }
    /// Before its factor is known.
    CHUNKKV_INLINE F of_any_length(std::int64_t d) const {
      return numbers != nullptr ? V::load(numbers + d) : V::from_half(row + 2 * d);
    }
  };

  /// Fetches a key into the first-level cache.
  static CHUNKKV_INLINE void fetch(const SimilarKeysTask& task, std::int64_t i) {
    const Key key(task, i);
    if (key.numbers != nullptr)
      kernels::fetch(bytes(key.numbers), 4 * task.depth);
    else
      kernels::fetch(key.row, 2 * task.depth);
  }

  /// Writes of_newest and of_others of one or two keys.
  template <int Keys>
  static CHUNKKV_INLINE void multiply(const SimilarKeysTask& task, std::int64_t first) {
    F products[4] = {};
#pragma GCC unroll 2
    for (int k = 0; k < Keys; ++k) {
      const Key key(task, first + k), newest(task, task.newest[first + k]);
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth) {
        const F x = key.at(d);
        products[2 * k] += x * newest.at(d);
        products[2 * k + 1] += x * (V::load(task.sum + d) - x);
      }
    }
    float sums[4];
    V::store_sums(products[0], products[1], products[2], products[3], sums);
    for (int k = 0; k < Keys; ++k) {
      task.of_newest[first + k] = sums[2 * k];
      task.of_others[first + k] = sums[2 * k + 1];
    }
  }
  /// products[n] = those of the keys lefts[n] and rights[n]; n <= 4.
  static CHUNKKV_INLINE void multiply_pairs(const SimilarKeysTask& task, const std::int32_t* lefts,
                                            const std::int32_t* rights, int n, float* products) {
    F sums[4] = {};
    for (int k = 0; k < n; ++k) {
      const Key a(task, lefts[k]), b(task, rights[k]);
      for (std::int64_t d = 0; d < task.depth; d += V::kWidth) sums[k] += a.at(d) * b.at(d);
    }
    float own[4];
    V::store_sums(sums[0], sums[1], sums[2], sums[3], own);
    for (int k = 0; k < n; ++k) products[k] = own[k];
  }
};

}  // namespace
}  // namespace chunkkv::kernels
