#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/attention_vectors.h"
#include "kernels/transpose_words.h"

namespace chunkkv::kernels {
namespace {

constexpr int kAttentionTileBytes = 1024;
constexpr int kAttentionTileLanes = 32;
constexpr int kAttentionTileRow = kAttentionTileLanes * 4;  // bytes of a row of lanes
constexpr int kAttentionTileKeys = 32;
constexpr int kAttentionTileStrip = 256;

/// What the cells of a strip receive from the lanes of tiles, in one tile of totals: cell 32 g + 16 h + i is
/// number 2 g + h of row i.
///
/// A row of weights is a pair of cells with the lanes as columns. It is also a row of the first factor of a
/// product whose second one has the lanes as rows: the weights of a group g of 32 cells are added up by a
/// factor that is 0 but in the columns 2 g, for the first cells of the pairs, and 2 g + 1, for the second
/// ones.
template <class T>
class StripTotals {
  static constexpr int kGroups = kAttentionTileStrip / kAttentionTileKeys;
  static constexpr std::ptrdiff_t kHalf = kAttentionTileBytes + 64;  // packed factors of 16 lanes

 public:
  static constexpr std::size_t kFactorBytes = 2 * kHalf;

  /// Packs the factors of lanes, 64 bytes from lane to lane with zeros between: a tile of them that is loaded
  /// from somewhat before has them in later columns. `packed` must be zeros before the first time.
  static void pack_factors(const float* factors, char* packed) {
    using V = Vectors<16>;
    for (int first = 0; first < kAttentionTileLanes; first += 16, packed += kHalf) {
      const Words rounded = bf16_pairs(V::load(factors + first), Floats{});
      std::uint32_t columns[16];  // of the first cells of pairs
      std::memcpy(columns, &rounded, sizeof rounded);
      for (int i = 0; i < 16; ++i) {
        const std::uint64_t both = columns[i] | std::uint64_t(columns[i]) << 48;
        std::memcpy(packed + std::ptrdiff_t(64) * (i + 1), &both, sizeof both);
      }
    }
  }

  static CHUNKKV_INLINE void load(const float* totals) { T::template load<5>(totals, 64); }
  static CHUNKKV_INLINE void store(float* totals) { T::template store<5>(totals, 64); }
  /// Adds the weights of a group, which are in tiles 6 and 7, to tile 5.
  static CHUNKKV_INLINE void add(std::int64_t group) {
    T::template load<4>(kOnes.pairs[group], 0);
    T::template multiply<5, 6, 4>();
    T::template multiply<5, 7, 4>();
  }

  /// Adds the weights of `n` cells from the strip's cell `first` on, each multiplied by its lane's factor.
  /// Four tiles are added up apart, so that no product waits for the last one.
  static void add(const char* weights, const char* factors, std::int64_t first, std::int64_t n,
                  float* totals) {
    T::template zero<0>();
    T::template zero<1>();
    T::template zero<2>();
    T::template zero<3>();
    const std::int64_t end = (first + n) / kAttentionTileKeys;
    for (std::int64_t group = first / kAttentionTileKeys; group < end; group += 2) {
      add_group<0, 1>(weights, factors, group);
      if (group + 1 < end) add_group<2, 3>(weights + kGroupBytes, factors, group + 1);
      weights += 2 * kGroupBytes;
    }
    alignas(64) float parts[4][kAttentionTileStrip];
    T::template store<0>(parts[0], 64);
    T::template store<1>(parts[1], 64);
    T::template store<2>(parts[2], 64);
    T::template store<3>(parts[3], 64);
    for (std::int64_t i = 0; i < kAttentionTileStrip; ++i)
      totals[i] += (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]);
  }

  /// Adds the totals of a strip to those of its first `n` cells.
  static void add_to(float* out, std::int64_t n, const float* totals) {
    Words rows[16];
    std::memcpy(rows, totals, sizeof rows);
    float cells[kAttentionTileStrip];
    store_transposed(rows, static_cast<char*>(static_cast<void*>(cells)), 64);
    for (std::int64_t cell = 0; cell < n; ++cell) out[cell] += cells[cell];
  }

 private:
  static constexpr std::int64_t kGroupBytes = std::int64_t(16) * kAttentionTileRow;

  static CHUNKKV_INLINE const char* columns(const char* factors, std::int64_t group) {
    return factors + 64 - 8 * group;
  }

  /// Adds the weights of a group, those of the lower lanes to one tile and of the upper ones to another one.
  template <int Lower, int Upper>
  static CHUNKKV_INLINE void add_group(const char* weights, const char* factors, std::int64_t group) {
    T::template load<4>(columns(factors, group), 64);
    T::template load<6>(weights, kAttentionTileRow);
    T::template multiply<Lower, 6, 4>();
    T::template load<5>(columns(factors + kHalf, group), 64);
    T::template load<7>(weights + 64, kAttentionTileRow);
    T::template multiply<Upper, 7, 5>();
  }

  struct alignas(64) Ones {
    std::uint32_t pairs[kGroups][16];  ///< the row of a group's factor, if all lanes have the factor 1
  };
  static constexpr Ones kOnes = [] {
    Ones ones{};
    for (int g = 0; g < kGroups; ++g) {
      ones.pairs[g][2 * g] = 0x3f80;  // 1 in BF16
      ones.pairs[g][2 * g + 1] = 0x3f80u << 16;
    }
    return ones;
  }();
};

}  // namespace
}  // namespace chunkkv::kernels
