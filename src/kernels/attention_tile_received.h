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
/// factor that is 0 but in two columns, one for the first cells of the pairs and one for the second ones.
template <class T>
class StripTotals {
  static constexpr int kGroups = kAttentionTileStrip / kAttentionTileKeys;
  static constexpr int kSums = 4;  // tiles of sums
  static_assert(kGroups == 2 * kSums);

 public:
  /// Two second factors of the lower lanes and two of the upper ones.
  static constexpr std::size_t kFactorBytes = std::size_t(4) * kAttentionTileBytes;

  /// Packs the factors of lanes, for the columns 0 and 1 and for 4 and 5. `packed` must be zeros before the
  /// first time.
  static void pack_factors(const float* factors, char* packed) {
    using V = Vectors<16>;
    for (int first = 0; first < kAttentionTileLanes; first += 16, packed += 2 * kAttentionTileBytes) {
      const Words rounded = bf16_pairs(V::load(factors + first), Floats{});
      std::uint32_t lanes[16];
      std::memcpy(lanes, &rounded, sizeof rounded);
      for (int i = 0; i < 16; ++i) {
        const std::uint64_t both = lanes[i] | std::uint64_t(lanes[i]) << 48;
        char* const row = packed + std::ptrdiff_t(64) * i;
        std::memcpy(row, &both, sizeof both);
        std::memcpy(row + kAttentionTileBytes + 16, &both, sizeof both);
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
  /// There are four tiles of sums, so that a factor is loaded for four products and none of them waits for
  /// the last one.
  static void add(const char* weights, const char* factors, std::int64_t first, std::int64_t n,
                  float* totals) {
    T::template zero<0>();
    T::template zero<1>();
    T::template zero<2>();
    T::template zero<3>();
    const Part part{weights, first, n};
    add_half<0, 0>(part, factors);
    add_half<1, 0>(part, factors + kAttentionTileBytes);
    add_half<0, 64>(part, factors + 2 * kAttentionTileBytes);
    add_half<1, 64>(part, factors + 3 * kAttentionTileBytes);
    Floats sums[kSums][16];
    T::template store<0>(sums[0], 64);
    T::template store<1>(sums[1], 64);
    T::template store<2>(sums[2], 64);
    T::template store<3>(sums[3], 64);
    for (int i = 0; i < 16; ++i, totals += 16) {
      const Floats lower = columns(sums[0][i], sums[1][i]), upper = columns(sums[2][i], sums[3][i]);
      Vectors<16>::store(totals, Vectors<16>::load(totals) + halves(lower, upper));
    }
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
  /// The weights of `n` cells from the strip's cell `first` on.
  struct Part {
    const char* weights;
    std::int64_t first, n;
  };
  /// Adds the weights of 16 lanes, `Lanes` bytes from the first one, to a tile of sums for each of four
  /// groups: 0, 1, 4 and 5, or the others.
  template <int Half, int Lanes>
  static CHUNKKV_INLINE void add_half(const Part& part, const char* factors) {
    T::template load<4>(factors, 64);
    add_group<0, 2 * Half, Lanes>(part);
    add_group<1, 2 * Half + 1, Lanes>(part);
    add_group<2, 2 * Half + 4, Lanes>(part);
    add_group<3, 2 * Half + 5, Lanes>(part);
  }
  template <int Sums, int Group, int Lanes>
  static CHUNKKV_INLINE void add_group(const Part& part) {
    const std::int64_t cell = kAttentionTileKeys * Group - part.first;
    if (cell < 0 || cell >= part.n) return;
    constexpr int tile = 5 + Sums % 3;
    T::template load<tile>(part.weights + cell / 2 * kAttentionTileRow + Lanes, kAttentionTileRow);
    T::template multiply<Sums, tile, 4>();
  }

  /// The columns 0, 1, 4 and 5 of two rows of sums, in the order of their groups.
  static CHUNKKV_INLINE Floats columns(const Floats& a, const Floats& b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, -1, -1, -1, -1, -1, -1, -1, -1);
  }
  /// The first eight numbers of `a` and of `b`.
  static CHUNKKV_INLINE Floats halves(const Floats& a, const Floats& b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
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
