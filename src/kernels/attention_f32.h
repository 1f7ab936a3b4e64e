#pragma once

#include "kernels/attention.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Attention in single precision. Keys and values are laid out in panels of `Rows`, and queries are the lanes
/// of `Columns` vectors: a panel's numbers are broadcast, and all sums stay in registers.
template <class V, int Rows, int Columns>
struct SinglePrecision {
  using Vector = V;
  using F = typename V::F;
  static constexpr int kColumns = Columns;
  static constexpr int kLanes = Columns * V::kWidth;
  static constexpr int kKeyUnit = Rows;    // keys that are taken together
  static constexpr int kPairDistance = 1;  // distance of two keys whose weights are stored together
  static constexpr bool kHasSteps = false;
  using Logits = NoSteps;
  static constexpr std::size_t kFactorBytes = kLanes * sizeof(float);
  static constexpr float kSlack = 8;      // by how many powers of two a logit may exceed the maximum
  static constexpr int kPowerDegree = 5;  // of the polynomial in powers of two
  static constexpr float kRounding = 0;   // what weights take with them to be rounded by cutting off
  static constexpr bool kCentresKeys = false;
  static constexpr float kValueUnit = 1;
  static constexpr int kItemLanes = 384;

  struct Scope {};

  static constexpr int strip(std::int64_t depth) { return depth <= 96 ? 256 : 128; }
  /// The keys and values of a block fill half of a second-level cache of 512 KB.
  static constexpr int block(std::int64_t depth) { return depth <= 64 ? 512 : depth <= 128 ? 256 : 128; }
  static constexpr std::size_t key_bytes(std::int64_t depth) {
    return std::size_t(block(depth) * depth) * sizeof(float);
  }
  static constexpr std::size_t value_bytes(std::int64_t depth) {
    return std::size_t(value_offset(block(depth), depth)) * sizeof(float);
  }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return std::size_t(depth * kLanes) * sizeof(float);
  }
  static constexpr std::size_t kWeightBytes = 0;  // weights take the logits' place

  /// Packs keys into panels [depth][Rows].
  static void pack_keys(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                        const std::uint32_t* seen, const float*, char* packed) {
    float* to = numbers(packed);
    for (std::int64_t key = 0; key < n; key += Rows, to += Rows * depth) {
      float row[Rows][kMostAttentionDepth];
      for (int r = 0; r < Rows; ++r) take_row<V>(rows, row_bytes, key + r, n, depth, seen, row[r]);
      pack_panel(row, depth, to);
    }
  }

  /// Packs values into panels [keys of a strip][Rows of depth], for each strip those of all depths.
  static void pack_values(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                          const std::uint32_t* seen, char* packed) {
    const std::int64_t whole = (n + Rows - 1) / Rows * Rows;
    for (std::int64_t key = 0; key < whole; ++key) {
      float row[kMostAttentionDepth];
      take_row<V>(rows, row_bytes, key, n, depth, seen, row);
      float* to = numbers(packed) + value_offset(key, depth);
      for (std::int64_t d = 0; d < depth; d += Rows, to += panel_numbers(depth))
        std::memcpy(to, row + d, Rows * sizeof(float));
    }
  }

  /// Packs scaled queries, `from` [depth][lanes].
  static void pack_queries(const float* from, std::int64_t depth, char* packed) {
    std::memcpy(packed, from, query_bytes(depth));
  }

  /// Computes logits [keys from `begin` to `end`][lanes].
  static void logits(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    for (std::int64_t key = begin; key < end; key += Rows, out += Rows * kLanes)
      multiply<false>(numbers(keys) + key * depth, numbers(queries), depth, out);
  }

  /// Stores the weights of two keys and adds them to `sum`.
  static CHUNKKV_INLINE void store_weights(float* first, float* second, char*, F a, F b, F& sum) {
    V::store(first, a);
    V::store(second, b);
    sum += a + b;
  }

  static void pack_factors(const float* factors, char* packed) { std::memcpy(packed, factors, kFactorBytes); }
  /// Adds the weights of `n` keys from the key `first` of a strip on, each multiplied by its lane's factor,
  /// to the strip's totals. Four keys are added up in registers.
  static void add_received(const char* weights, const char* factors, std::int64_t first, std::int64_t n,
                           float* totals) {
    static_assert(kKeyUnit % 4 == 0);
    totals += first;
    const float* row = numbers(weights);
    F factor[Columns];
    for (int c = 0; c < Columns; ++c) factor[c] = V::load(numbers(factors) + c * V::kWidth);
    for (std::int64_t key = 0; key < n; key += 4, totals += 4) {
      F sums[4] = {};
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, row += kLanes)
#pragma GCC unroll 4
        for (int c = 0; c < Columns; ++c) sums[i] += V::load(row + c * V::kWidth) * factor[c];
      add_four_sums<V>(sums, totals);
    }
  }
  /// Adds the totals of `n` keys to `out`, [n].
  static void add_totals(const float* totals, std::int64_t n, float* out) {
    for (std::int64_t key = 0; key < n; ++key) out[key] += totals[key];
  }
  static void add_values(const float* weights, const char*, const char* values, std::int64_t depth,
                         std::int64_t begin, std::int64_t end, float* out) {
    const float* panel = numbers(values) + value_offset(begin, depth);
    for (std::int64_t d = 0; d < depth; d += Rows, out += Rows * kLanes, panel += panel_numbers(depth))
      multiply<true>(panel, weights, end - begin, out);
  }

 private:
  static CHUNKKV_INLINE void pack_panel(const float (&row)[Rows][kMostAttentionDepth], std::int64_t depth,
                                        float* to) {
    if constexpr (Rows == 4) {
      for (std::int64_t d = 0; d < depth; d += V::kWidth)
        V::store_columns(V::load(row[0] + d), V::load(row[1] + d), V::load(row[2] + d), V::load(row[3] + d),
                         to + d * Rows, Rows);
    } else {
      for (std::int64_t d = 0; d < depth; ++d)
        for (int r = 0; r < Rows; ++r) to[d * Rows + r] = row[r][d];
    }
  }

  static constexpr int kLine = 16;  // numbers of padding; no panel begins at a large power of two's multiple
  static constexpr std::int64_t panel_numbers(std::int64_t depth) {
    return strip(depth) * Rows + kLine;
  }
  static constexpr std::int64_t value_offset(std::int64_t key, std::int64_t depth) {
    return key / strip(depth) * (depth / Rows) * panel_numbers(depth) + key % strip(depth) * Rows;
  }

  /// out[Rows][lanes] (+)= sum over n of a[n][Rows] b[n][lanes]
  template <bool Add>
  static void multiply(const float* a, const float* b, std::int64_t n, float* out) {
    F sums[Rows][Columns];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sums[r][c] = Add ? V::load(out + r * kLanes + c * V::kWidth) : F{};
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < n; ++k, a += Rows, b += kLanes) {
      F column[Columns];
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) column[c] = V::load(b + c * V::kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const F number = V::all(a[r]);
#pragma GCC unroll 16
        for (int c = 0; c < Columns; ++c) sums[r][c] += number * column[c];
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) V::store(out + r * kLanes + c * V::kWidth, sums[r][c]);
  }
};

}  // namespace
}  // namespace chunkkv::kernels
