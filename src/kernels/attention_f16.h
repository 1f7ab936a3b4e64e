#pragma once

#include "kernels/attention.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Attention in F16 with short sums, which are added up in single precision. Two neighbouring depths or cells
/// form a pair of 32 bits, so that a plain broadcast brings it to all lanes. `H`: vectors of such pairs.
template <class H>
struct HalfPrecision {
  using Vector = Vectors<16>;
  using V = Vector;
  using F = V::F;
  static constexpr int kRows = 8;
  static constexpr int kColumns = 3;
  static constexpr int kLanes = kColumns * 16;
  static constexpr int kKeyUnit = kRows;
  static constexpr int kPairDistance = 1;
  static constexpr bool kHasSteps = false;
  using Logits = NoSteps;
  static constexpr std::int64_t kTotals = 0;  // cannot add up what cells receive
  static constexpr std::size_t kFactorBytes = 0;
  // Weights are at most 1, values are divided by 64 and 32 are added up: no sum overflows.
  static constexpr float kSlack = 0;
  static constexpr int kPowerDegree = 3;
  static constexpr float kRounding = 0;
  static constexpr float kValueUnit = 64;
  static constexpr std::int64_t kChain = 32;  // pairs whose products are added up in F16
  static constexpr bool kCentresKeys = true;
  static constexpr int kItemLanes = 768;
  struct Scope {};

  static constexpr int strip(std::int64_t) { return 128; }
  static constexpr int block(std::int64_t depth) { return depth <= 64 ? 1024 : depth <= 128 ? 512 : 256; }
  static constexpr std::size_t key_bytes(std::int64_t depth) { return std::size_t(block(depth) * depth) * 2; }
  static constexpr std::size_t value_bytes(std::int64_t depth) { return key_bytes(depth); }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return std::size_t(depth * kLanes) * 2 + kLanes * sizeof(float);
  }
  static constexpr std::size_t kWeightBytes = kLanes * 2;

  /// Packs keys into panels [pairs of depth][rows].
  static void pack_keys(const char* from, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                        const std::uint32_t* seen, const float* mean, char* packed) {
    for (std::int64_t key = 0; key < n; key += kRows, packed += kRows * depth * 2)
      for (int r = 0; r < kRows; ++r) {
        float row[kMostAttentionDepth];
        take_row<V>(from, row_bytes, key + r, n, depth, seen, row);
        char halves[kMostAttentionDepth * 2];
        for (std::int64_t d = 0; d < depth; d += 16)
          H::to_half(V::load(row + d) - V::load(mean + d), halves + 2 * d);
        for (std::int64_t pair = 0; pair < depth / 2; ++pair)
          std::memcpy(packed + (pair * kRows + r) * 4, halves + 4 * pair, 4);
      }
  }

  /// Packs values into a panel [pairs of cells][rows] for each 8 numbers of depth, which are its rows.
  static void pack_values(const char* from, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                          const std::uint32_t* seen, char* packed) {
    const std::int64_t end = (n + kRows - 1) / kRows * kRows;
    for (std::int64_t cell = 0; cell < end; cell += 2) {
      float even[kMostAttentionDepth], odd[kMostAttentionDepth];
      take_row<V>(from, row_bytes, cell, n, depth, seen, even);
      take_row<V>(from, row_bytes, cell + 1, n, depth, seen, odd);
      for (std::int64_t d = 0; d < depth; d += 16) {
        char pairs[64];
        F unused{};
        H::to_pairs(V::load(even + d) / V::all(kValueUnit), V::load(odd + d) / V::all(kValueUnit), pairs,
                    unused);
        for (int i = 0; i < 16; i += kRows)
          std::memcpy(packed + (d + i) / kRows * panel_bytes(depth) + cell / 2 * kRows * 4, pairs + 4 * i,
                      kRows * 4);
      }
    }
  }

  /// Packs queries as pairs of depth with the queries as lanes, each query divided by a power of two of its
  /// own; these powers follow the pairs.
  static void pack_queries(const float* from, std::int64_t depth, char* packed) {
    auto* units = numbers(packed + depth * kLanes * 2);
    float factors[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      float most = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        const float x = from[d * kLanes + i] < 0 ? -from[d * kLanes + i] : from[d * kLanes + i];
        if (x > most) most = x;
      }
      units[i] = 1;
      if (most > 1e-30f && most < 1e30f) {
        std::uint32_t bits;
        std::memcpy(&bits, &most, sizeof bits);
        bits &= 0x7f800000;
        std::memcpy(&units[i], &bits, sizeof bits);
      }
      factors[i] = 1 / units[i];
    }
    for (std::int64_t d = 0; d < depth; d += 2)
      for (int c = 0; c < kColumns; ++c, packed += 64) {
        const float* first = from + d * kLanes + c * 16;
        F unused{};
        H::to_pairs(V::load(first) * V::load(factors + c * 16),
                    V::load(first + kLanes) * V::load(factors + c * 16), packed, unused);
      }
  }

  static void logits(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    const auto* units = numbers(queries + depth * kLanes * 2);
    for (std::int64_t key = begin; key < end; key += kRows) {
      for (int i = 0; i < kRows * kColumns; ++i) V::store(out + 16 * i, F{});
      for (std::int64_t pair = 0; pair < depth / 2; pair += kChain)
        multiply(keys + key * depth * 2 + pair * kRows * 4, queries + pair * kLanes * 4,
                 min_of(kChain, depth / 2 - pair), out);
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < kColumns; ++c, out += 16) V::store(out, V::load(out) * V::load(units + 16 * c));
    }
  }

  /// Stores the weights of two cells as pairs and adds the rounded weights to `sum`.
  static CHUNKKV_INLINE void store_weights(float*, float*, char* pair, F a, F b, F& sum) {
    H::to_pairs(a, b, pair, sum);
  }

  static void add_values(const float*, const char* weights, const char* values, std::int64_t depth,
                         std::int64_t begin, std::int64_t end, float* out) {
    for (std::int64_t d = 0; d < depth; d += kRows, out += kRows * kLanes, values += panel_bytes(depth)) {
      // Sums in F16 end at the same cells, wherever the visible cells begin.
      for (std::int64_t cell = begin, next = 0; cell < end; cell = next) {
        next = min_of(end, (cell / (2 * kChain) + 1) * 2 * kChain);
        multiply(values + cell / 2 * kRows * 4, weights + (cell - begin) / 2 * kLanes * 4, (next - cell) / 2,
                 out);
      }
    }
  }

 private:
  static constexpr std::int64_t panel_bytes(std::int64_t depth) {
    return std::int64_t(block(depth)) * kRows * 2;
  }

  /// out[rows][lanes] += sum over n pairs and both numbers of each: a[n][rows] b[n][lanes]
  static void multiply(const char* a, const char* b, std::int64_t n, float* out) {
    typename H::Pairs sums[kRows][kColumns];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) sums[r][c] = H::zero();
    for (std::int64_t k = 0; k < n; ++k, a += kRows * 4, b += kLanes * 4) {
      typename H::Pairs column[kColumns];
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) column[c] = H::load(b + 64 * c);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const typename H::Pairs pair = H::all(a + 4 * r);
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) sums[r][c] = H::fused(pair, column[c], sums[r][c]);
      }
    }
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c, out += 16) V::store(out, V::load(out) + H::sum_of_pairs(sums[r][c]));
  }
};

}  // namespace
}  // namespace chunkkv::kernels
