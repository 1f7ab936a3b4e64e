#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/attention.h"
#include "kernels/attention_tile_steps.h"
#include "kernels/attention_vectors.h"
#include "kernels/bf16.h"
#include "kernels/transpose_words.h"

namespace chunkkv::kernels {
namespace {

/// Attention in BF16 on tiles, with sums in single precision.
template <class T>
struct TilePrecision {
  using Vector = Vectors<16>;
  using V = Vector;
  using F = V::F;
  static constexpr int kColumns = 2;
  static constexpr int kLanes = kAttentionTileLanes;
  static constexpr int kKeyUnit = kAttentionTileKeys;
  static constexpr int kPairDistance = 16;  // a pair of cells comes from two tiles, so nothing is shuffled
  static constexpr float kSlack = 8;
  static constexpr int kPowerDegree = 3;
  static constexpr float kRounding =
      0x1p-8f;  // half of the last bit that stays: cutting off rounds to nearest
  static constexpr float kValueUnit = 1;
  static constexpr bool kCentresKeys = true;
  static constexpr int kItemLanes = 1536;
  using Scope = TileScope<T>;
  static constexpr bool kHasSteps = true;
  static constexpr bool kHasPlaces = false;
  using Logits = LogitSteps<T>;
  using Values = ValueSteps<T>;
  using Totals = StripTotals<T>;
  static constexpr std::size_t kFactorBytes = Totals::kFactorBytes;

  static constexpr int strip(std::int64_t) { return kAttentionTileStrip; }
  static constexpr int block(std::int64_t depth) { return depth <= 128 ? 1024 : 512; }
  /// The bytes of a packed row of keys.
  static constexpr std::size_t row_bytes(std::int64_t depth) { return std::size_t(padded_depth(depth)) * 2; }
  static constexpr std::size_t key_bytes(std::int64_t depth) {
    return std::size_t(block(depth)) * row_bytes(depth);
  }
  static constexpr std::size_t value_bytes(std::int64_t depth) {
    return std::size_t(block(depth) * depth) * 2;
  }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return std::size_t(padded_depth(depth) * kLanes) * 2;
  }
  static constexpr std::size_t kWeightBytes = kLanes * 2;

  /// Packs keys into tiles of 16 cells: each row has 32 numbers of a key as 16 pairs (d, d + 16).
  static void pack_keys(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                        const std::uint32_t* seen, const float* mean, char* packed) {
    const std::int64_t end = (n + kKeyUnit - 1) / kKeyUnit * kKeyUnit;
    for (std::int64_t key = 0; key < end; ++key) {
      const char* row = row_at(rows, row_bytes, key, n, depth, seen);
      const auto number = [&](std::int64_t d) __attribute__((always_inline)) {
        return V::from_half(row + 2 * d) - V::load(mean + d);
      };
      char* to = packed + packed_key(key, depth);
      std::int64_t d = 0;
      for (; d + 32 <= depth; d += 32, to += kTileBytes) put_pairs(number(d), number(d + 16), to);
      if (d < depth) put_pairs(number(d), F{}, to);
    }
  }
  /// Packs rows [n][depth] of single precision in the same way. errors[n] = their distances from what is
  /// packed.
  static void pack_rows(const float* rows, std::int64_t n, std::int64_t depth, char* packed, float* errors) {
    find_errors(rows, n, depth, errors);
    const std::int64_t end = (n + kKeyUnit - 1) / kKeyUnit * kKeyUnit;
    alignas(64) float row[kMostAttentionDepth + 16];
    for (std::int64_t key = 0; key < end; ++key) {
      const float* from = rows + min_of(key, n) * depth;
      if (key >= n || depth < padded_depth(depth)) {  // zeros stand for what is missing
        std::memset(row, 0, sizeof row);
        if (key < n) std::memcpy(row, from, std::size_t(depth) * sizeof(float));
        from = row;
      }
      pack_key(from, depth, key, packed);
    }
  }

  /// Packs values into tiles of 16 numbers of 32 cells: each row has 16 pairs of cells (c, c + 16).
  static void pack_values(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                          const std::uint32_t* seen, char* packed) {
    const std::int64_t end = (n + kKeyUnit - 1) / kKeyUnit * kKeyUnit;
    const char* cells[kKeyUnit];
    for (std::int64_t cell = 0; cell < end; cell += kKeyUnit) {
      for (int i = 0; i < kKeyUnit; ++i) cells[i] = row_at(rows, row_bytes, cell + i, n, depth, seen);
      for (std::int64_t d = 0; d < depth; d += 16, packed += kTileBytes) {
        Words pairs[16];
        for (int i = 0; i < 16; ++i)
          pairs[i] = bf16_pairs(V::from_half(cells[i] + 2 * d), V::from_half(cells[i + 16] + 2 * d));
        store_transposed(pairs, packed, 64);
      }
    }
  }

  /// Packs queries into rows of pairs (d, d + 16), with the queries as lanes.
  static void pack_queries(const float* from, std::int64_t depth, char* packed) {
    for (std::int64_t d = 0; d < depth; d += 32)
      for (int i = 0; i < 16; ++i)
        for (int c = 0; c < kColumns; ++c, packed += 64) {
          const float* first = from + (d + i) * kLanes + c * 16;
          const F second = d + 16 < depth ? V::load(first + 16 * kLanes) : F{};
          const Words pairs = bf16_pairs(V::load(first), second);
          std::memcpy(packed, &pairs, sizeof pairs);
        }
  }

  /// Packs some of the rows in the same way, one for each lane, from what `pack_rows` made of them.
  static void pack_lanes(const char* packed_rows, const std::int32_t* rows, std::int64_t depth,
                         char* packed) {
    for (std::int64_t d = 0; d < depth; d += 32, packed += 16 * kAttentionTileRow)
      for (int c = 0; c < kColumns; ++c) {
        Words pairs[16];
        for (int i = 0; i < 16; ++i)
          std::memcpy(&pairs[i], packed_rows + packed_key(rows[c * 16 + i], depth) + d / 32 * kTileBytes,
                      sizeof pairs[i]);
        store_transposed(pairs, packed + 64 * c, kAttentionTileRow);
      }
  }

  static void logits(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    Logits steps(queries, keys, depth, begin, end, out);
    do_all(steps);
  }

  static void pack_factors(const float* factors, char* packed) { Totals::pack_factors(factors, packed); }
  /// Adds the weights of `n` cells from the cell `first` of a strip on, each multiplied by its lane's factor,
  /// to the strip's totals.
  static void add_received(const char* weights, const char* factors, std::int64_t first, std::int64_t n,
                           float* totals) {
    Totals::add(weights, factors, first, n, totals);
  }
  /// Adds the totals of `n` cells to `out`, [n].
  static void add_totals(const float* totals, std::int64_t n, float* out) {
    for (std::int64_t cell = 0; cell < n; cell += kAttentionTileStrip)
      Totals::add_to(out + cell, min_of(kAttentionTileStrip, n - cell), totals + cell);
  }

  /// Cuts weights off after 16 bits and adds the rest to `sum`.
  static CHUNKKV_INLINE void store_weights(float*, float*, char* pair, F a, F b, F& sum) {
    store_cut_off(a, b, pair, sum);
  }

 private:
  /// errors[n] = the distances of rows, [n][depth], from what BF16 leaves of them.
  static void find_errors(const float* rows, std::int64_t n, std::int64_t depth, float* errors) {
    constexpr int kTogether = 4;
    for (std::int64_t i = 0; i < n; i += kTogether) {
      const float* from[kTogether];
      for (int r = 0; r < kTogether; ++r) from[r] = rows + min_of(i + r, n - 1) * depth;
      F squares[kTogether] = {};
      for (std::int64_t d = 0; d < depth; d += 16)
#pragma GCC unroll 4
        for (int r = 0; r < kTogether; ++r) {
          const F x = V::load(from[r] + d);
          const F lost = x - (F)(((V::I)x + 0x8000) & (std::int32_t)0xffff0000);
          squares[r] += lost * lost;
        }
      float sums[kTogether];
      V::store_sums(squares[0], squares[1], squares[2], squares[3], sums);
      for (std::int64_t r = 0; r < min_of(kTogether, n - i); ++r) errors[i + r] = __builtin_sqrtf(sums[r]);
    }
  }

  static constexpr int kTileBytes = kAttentionTileBytes;

  static CHUNKKV_INLINE void pack_key(const float* row, std::int64_t depth, std::int64_t key, char* packed) {
    char* to = packed + packed_key(key, depth);
    for (std::int64_t d = 0; d < depth; d += 32, to += kTileBytes)
      put_pairs(V::load(row + d), V::load(row + d + 16), to);
  }
  static CHUNKKV_INLINE void put_pairs(F even, F odd, char* to) {
    const Words pairs = bf16_pairs(even, odd);
    std::memcpy(to, &pairs, sizeof pairs);
  }

  /// Where a key's row of its first tile begins.
  static constexpr std::int64_t packed_key(std::int64_t key, std::int64_t depth) {
    return key / 16 * kTileBytes * (padded_depth(depth) / 32) + key % 16 * 64;
  }

  /// The depth, rounded up to whole tiles.
  static constexpr std::int64_t padded_depth(std::int64_t depth) {
    return (depth + 31) / 32 * 32;
  }
};

}  // namespace
}  // namespace chunkkv::kernels
