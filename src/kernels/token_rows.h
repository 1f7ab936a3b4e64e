#pragma once

#include <cstdint>
#include <vector>

namespace chunkkv::kernels {

/// How a rotation pairs the numbers of a row.
enum class RotationPairs : std::uint8_t {
  neighbours,  ///< 0 with 1, 2 with 3, ...
  halves,      ///< i with n / 2 + i
};

/// One implementation of what the engine does with the row of each token between products, in single
/// precision. Output may be the input, row by row.
struct TokenRowsKernel {
  const char* name;
  /// out[i] = x[i] w[i] / sqrt(mean of x^2 + epsilon), for a row of `n` numbers.
  void (*rms_norm)(const float* x, const float* w, std::int64_t n, float epsilon, float* out);
  /// Rotates the pairs of a row, (a, b) to (a cos - b sin, a sin + b cos); `n` is even. `cosines` and
  /// `sines`: [n], laid out by `set_turn`.
  void (*rotate)(const float* x, std::int64_t n, RotationPairs pairs, const float* cosines,
                 const float* sines, float* out);
};

/// Lays out the cosine and the sine of pair `pair` of n / 2 for `rotate`: number i of a row becomes
/// x[i] cosines[i] + (the other number of its pair) sines[i]. Static: each source keeps its own copy.
static inline void set_turn(std::int64_t n, RotationPairs pairs, std::int64_t pair, float cosine, float sine,
                            float* cosines, float* sines) {
  const bool neighbours = pairs == RotationPairs::neighbours;
  const std::int64_t first = neighbours ? 2 * pair : pair, second = neighbours ? first + 1 : n / 2 + pair;
  cosines[first] = cosines[second] = cosine;
  sines[first] = -sine;
  sines[second] = sine;
}

/// All kernels on vectors in plain C++, for tests.
const std::vector<TokenRowsKernel>& emulated_token_rows_kernels();
/// The kernels that this processor can run, the fastest first; may be empty.
const std::vector<TokenRowsKernel>& token_rows_kernels();

}  // namespace chunkkv::kernels
