#pragma once

#include "kernels/attention.h"
#include "kernels/attention_pair_sums.h"
#include "kernels/attention_vectors.h"

#include <type_traits>

#ifdef __AVX2__
#include "kernels/transpose_avx2.h"
#endif

namespace chunkkv::kernels {
namespace {

/// Attention in numbers of 16 bits. Two neighbouring depths or cells form a pair of 32 bits, so that a plain
/// broadcast brings it to all lanes. `H`: vectors of such pairs, in F16 or BF16, and what these need:
/// - kColumns vectors of queries form a tile, kStrip cells a strip, kItemLanes queries an item at most;
/// - kChain pairs are added up before single precision; 0: sums are in single precision throughout;
/// - values are divided by kValueUnit and, if kScalesQueries, queries by powers of two of their own;
/// - kSlack, kRounding: of the soft max (Softmax).
template <class H>
struct PairPrecision {
  using Vector = Vectors<16>;
  using V = Vector;
  using F = V::F;
  static constexpr int kRows = 8;
  static constexpr int kColumns = H::kColumns;
  static constexpr int kLanes = kColumns * 16;
  static constexpr int kKeyUnit = kRows;
  static constexpr int kPairDistance = 1;
  static constexpr bool kHasSteps = false;
  using Logits = NoSteps;
  using CellSums = std::conditional_t<(H::kChain > 0), HalfCellSums<H>, SingleCellSums<H>>;
  static constexpr std::size_t kFactorBytes = kColumns * CellSums::kFactorBytes;
  static constexpr float kSlack = H::kSlack;
  static constexpr int kPowerDegree = 3;
  static constexpr float kRounding = H::kRounding;
  static constexpr float kValueUnit = H::kValueUnit;
  static constexpr bool kCentresKeys = true;
  static constexpr int kItemLanes = H::kItemLanes;
  struct Scope {};

  static constexpr int strip(std::int64_t) { return H::kStrip; }
  static constexpr int block(std::int64_t depth) { return depth <= 64 ? 1024 : depth <= 128 ? 512 : 256; }
  static constexpr std::size_t key_bytes(std::int64_t depth) { return std::size_t(block(depth) * depth) * 2; }
  static constexpr std::size_t value_bytes(std::int64_t depth) { return key_bytes(depth); }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return std::size_t(depth * kLanes) * 2 + (H::kScalesQueries ? kLanes * sizeof(float) : 0);
  }
  static constexpr std::size_t kWeightBytes = kLanes * 2;

  /// Packs keys into panels [pairs of depth][rows].
  static void pack_keys(const char* from, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                        const std::uint32_t* seen, const float* mean, char* packed) {
    Panel panel;
    for (std::int64_t key = 0; key < n; key += kRows, packed += kRows * depth * 2) {
      for (int r = 0; r < kRows; ++r) {
        float row[kMostAttentionDepth];
        take_row<V>(from, row_bytes, key + r, n, depth, seen, row);
        for (std::int64_t d = 0; d < depth; d += 16)
          H::round(V::load(row + d) - V::load(mean + d), panel[r] + 2 * d);
      }
      store_panel(panel, depth, packed);
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
        H::round_pairs(V::load(even + d) / V::all(kValueUnit), V::load(odd + d) / V::all(kValueUnit), pairs);
        for (int i = 0; i < 16; i += kRows)
          std::memcpy(packed + (d + i) / kRows * panel_bytes(depth) + cell / 2 * kRows * 4, pairs + 4 * i,
                      kRows * 4);
      }
    }
  }

  /// Packs queries, `from` [depth][lanes], as pairs of depth with the queries as lanes. If H scales queries,
  /// each is divided by a power of two of its own; these powers follow the pairs.
  static void pack_queries(const float* from, std::int64_t depth, char* packed) {
    float factors[kLanes];
    if constexpr (H::kScalesQueries) find_units(from, depth, numbers(packed + depth * kLanes * 2), factors);
    for (std::int64_t d = 0; d < depth; d += 2)
      for (int c = 0; c < kColumns; ++c, packed += 64) {
        const float* first = from + d * kLanes + c * 16;
        F even = V::load(first), odd = V::load(first + kLanes);
        if constexpr (H::kScalesQueries) {
          even *= V::load(factors + c * 16);
          odd *= V::load(factors + c * 16);
        }
        H::round_pairs(even, odd, packed);
      }
  }

  static void logits(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    constexpr std::int64_t chain = H::kChain > 0 ? H::kChain : kMostAttentionDepth;
    for (std::int64_t key = begin; key < end; key += kRows, out += kRows * kLanes) {
      const char* panel = keys + key * depth * 2;
      multiply<false>(panel, queries, min_of(chain, depth / 2), out);
      for (std::int64_t pair = chain; pair < depth / 2; pair += chain)
        multiply<true>(panel + pair * kRows * 4, queries + pair * kLanes * 4, min_of(chain, depth / 2 - pair),
                       out);
      if constexpr (H::kScalesQueries) {
        const float* units = numbers(queries + depth * kLanes * 2);
        for (int i = 0; i < kRows * kColumns; ++i)
          V::store(out + 16 * i, V::load(out + 16 * i) * V::load(units + i % kColumns * 16));
      }
    }
  }

  /// Stores the weights of two cells as pairs and adds the rounded weights to `sum`.
  static CHUNKKV_INLINE void store_weights(float*, float*, char* pair, F a, F b, F& sum) {
    H::store_weights(a, b, pair, sum);
  }

  static void add_values(const float*, const char* weights, const char* values, std::int64_t depth,
                         std::int64_t begin, std::int64_t end, float* out) {
    for (std::int64_t d = 0; d < depth; d += kRows, out += kRows * kLanes, values += panel_bytes(depth)) {
      // Sums in F16 end at the same cells, wherever the visible cells begin.
      for (std::int64_t cell = begin, next = 0; cell < end; cell = next) {
        next = H::kChain > 0 ? min_of(end, (cell / (2 * H::kChain) + 1) * 2 * H::kChain) : end;
        multiply<true>(values + cell / 2 * kRows * 4, weights + (cell - begin) / 2 * kLanes * 4,
                       (next - cell) / 2, out);
      }
    }
  }

  static void pack_factors(const float* factors, char* packed) {
    for (int c = 0; c < kColumns; ++c, packed += CellSums::kFactorBytes)
      CellSums::pack_factors(V::load(factors + c * 16), packed);
  }
  /// Adds the weights of `n` cells from the cell `first` of a strip on, each multiplied by its lane's factor,
  /// to the strip's totals. Four cells are added up in registers: sums by lane would take as much memory as
  /// the weights.
  static void add_received(const char* weights, const char* factors, std::int64_t first, std::int64_t n,
                           float* totals) {
    static_assert(kKeyUnit % 4 == 0);
    totals += first;
    typename CellSums::Factors factor[kColumns];
    for (int c = 0; c < kColumns; ++c)
      factor[c] = CellSums::load_factors(factors + c * CellSums::kFactorBytes);
    for (std::int64_t cell = 0; cell < n; cell += 4, totals += 4) {
      CellSums sums;
#pragma GCC unroll 2
      for (int pair = 0; pair < 2; ++pair, weights += kLanes * 4)
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) sums.add(pair, H::load(weights + 64 * c), factor[c]);
      sums.add_to(totals);
    }
  }
  /// Adds the totals of `n` cells to `out`, [n].
  static void add_totals(const float* totals, std::int64_t n, float* out) {
    for (std::int64_t cell = 0; cell < n; ++cell) out[cell] += totals[cell];
  }

 private:
  using Panel = char[kRows][kMostAttentionDepth * 2];

  static constexpr std::int64_t panel_bytes(std::int64_t depth) {
    return std::int64_t(block(depth)) * kRows * 2;
  }

  /// Stores the pairs of rows as [pairs of depth][rows].
  static CHUNKKV_INLINE void store_panel(const Panel& rows, std::int64_t depth, char* to) {
    for (std::int64_t d = 0; d < depth; d += 16) {
#ifdef __AVX2__
      transpose_rows(rows[0] + 2 * d, sizeof rows[0], to, 32);
      to += 8 * 32;
#else
      for (int i = 0; i < 8; ++i)
        for (int r = 0; r < kRows; ++r, to += 4) std::memcpy(to, rows[r] + 2 * d + 4 * i, 4);
#endif
    }
  }

  /// Finds the power of two that each lane's numbers, `from` [depth][lanes], are divided by, and its inverse.
  static void find_units(const float* from, std::int64_t depth, float* units, float* factors) {
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
  }

  /// out[rows][lanes] (+)= sum over n pairs and both numbers of each: a[n][rows] b[n][lanes]
  template <bool Add>
  static void multiply(const char* a, const char* b, std::int64_t n, float* out) {
    typename H::Sums sums[kRows][kColumns];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) sums[r][c] = H::template start<Add>(out + (r * kColumns + c) * 16);
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
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) H::template finish<Add>(sums[r][c], out + (r * kColumns + c) * 16);
  }
};

/// What pairs in F16 need. Weights are at most 1, values are divided by 64 and 32 pairs are added up in F16:
/// no sum overflows.
struct HalfPairRules {
  static constexpr int kColumns = 3;
  static constexpr int kStrip = 128;
  static constexpr int kItemLanes = 768;
  static constexpr float kSlack = 0;
  static constexpr float kValueUnit = 64;
  static constexpr std::int64_t kChain = 32;
  static constexpr bool kScalesQueries = true;
  static constexpr float kRounding = 0;
};

}  // namespace
}  // namespace chunkkv::kernels
