#pragma once

#include "kernels/row_statistics.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// newest[i] = the last j != i with keys[i] . keys[j] > threshold; 0 where there is none, as R-KV has it.
/// of_newest[i] = keys[i] . keys[newest[i]]; of_others[i] = keys[i] . (sum - keys[i]).
///
/// Keys are numbers in single precision, or rows of a cache: then a key is its row divided by the row's
/// length, or by `smallest` if that is greater.
struct SimilarKeysTask {
  std::int64_t n = 0;
  std::int64_t depth = 0;       ///< a multiple of 16, at most kMostAttentionDepth
  const float* keys = nullptr;  ///< [n][depth], of length 1 or 0; null: `rows` are the keys
  RowStatisticsTask rows = {};
  float smallest = 0;
  float* factors = nullptr;  ///< [n]: `pack` writes what each row is multiplied by; only with `rows`
  float* errors = nullptr;   ///< [n]: `pack` writes how much its rounding may change a product with each key
  const float* sum = nullptr;  ///< [depth]: sum of all keys
  char* packed = nullptr;      ///< `packed_bytes` for what `pack` makes of the keys, aligned to 64 bytes
  float threshold = 0;
  std::int32_t* newest = nullptr;  ///< [n]
  float *of_newest = nullptr, *of_others = nullptr;
};

/// One implementation; it decides as single precision does. Keys are compared with strips of other keys from
/// the newest backwards, and a key that has found a similar one leaves the search: near-linear wherever new
/// keys resemble old ones, and quadratic in the worst case.
struct SimilarKeysKernel {
  static constexpr std::int64_t kPackedKeys = 64;  ///< keys are packed from a multiple of it on

  const char* name;
  std::size_t (*packed_bytes)(const SimilarKeysTask& task);  ///< a multiple of 64
  /// Looks at some of the keys to find out how to pack them. To be called first.
  void (*prepare)(const SimilarKeysTask& task);
  /// Packs the keys `first`, a multiple of kPackedKeys, to `end`, which is one or the number of keys.
  /// sum[depth] = their sum.
  void (*pack)(const SimilarKeysTask& task, std::int64_t first, std::int64_t end, float* sum);
  /// How many bytes of memory one thread needs; they must be aligned to 64.
  std::size_t (*thread_bytes)(const SimilarKeysTask& task);
  /// Computes the share of one thread of what the task asks for: all of them take keys from `next` (0 at
  /// first) until none is left. All keys are packed.
  void (*run)(const SimilarKeysTask& task, char* own, std::atomic<std::int64_t>& next);
};

/// All kernels on vectors and tiles in plain C++, for tests.
const std::vector<SimilarKeysKernel>& emulated_similar_keys_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<SimilarKeysKernel>& similar_keys_kernels();

}  // namespace chunkkv::kernels
