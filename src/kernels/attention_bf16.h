#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/attention.h"
#include "kernels/attention_vectors.h"

#ifdef __AVX512F__
#include "kernels/transpose_avx512.h"
#endif

namespace chunkkv::kernels {
namespace {

/// Attention in BF16 on tiles, with sums in single precision. Two by two tiles at a time: 32 cells or numbers
/// of values with 32 queries, so that loading hides behind multiplying.
template <class T>
struct TilePrecision {
  using Vector = Vectors<16>;
  using V = Vector;
  using F = V::F;
  static constexpr int columns = 2;
  static constexpr int lanes = 32;
  static constexpr int key_unit = 32;
  static constexpr int pair_distance = 16;  // a pair of cells comes from two tiles, so nothing is shuffled
  static constexpr int exp2_degree = 3;
  static constexpr float slack = 8;
  static constexpr float value_unit = 1;
  static constexpr bool centres_keys = true;
  static constexpr int item_lanes = 1536;
  using Scope = TileScope<T>;

  static constexpr int strip(std::int64_t) { return 128; }
  static constexpr int block(std::int64_t depth) { return depth <= 128 ? 1024 : 512; }
  static constexpr std::size_t key_bytes(std::int64_t depth) {
    return std::size_t(block(depth) * whole(depth)) * 2;
  }
  static constexpr std::size_t value_bytes(std::int64_t depth) {
    return std::size_t(block(depth) * depth) * 2;
  }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return std::size_t(whole(depth) * lanes) * 2;
  }
  static constexpr std::size_t weight_bytes = lanes * 2;

  /// Tiles of 16 cells: each row 32 numbers as 16 pairs (d, d + 16).
  static void pack_keys(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                        const std::uint32_t* seen, const float* mean, char* packed) {
    const std::int64_t end = (n + key_unit - 1) / key_unit * key_unit;
    for (std::int64_t key = 0; key < end; ++key) {
      alignas(64) float row[most_attention_depth + 16];
      take_row<V>(rows, row_bytes, key, n, depth, seen, row);
      for (std::int64_t d = 0; d < depth; d += 16) V::store(row + d, V::load(row + d) - V::load(mean + d));
      V::store(row + depth, F{});
      char* to = packed + key / 16 * tile_bytes * (whole(depth) / 32) + key % 16 * 64;
      for (std::int64_t d = 0; d < depth; d += 32, to += tile_bytes) {
        const Words pairs = bf16_pairs(V::load(row + d), V::load(row + d + 16));
        std::memcpy(to, &pairs, sizeof pairs);
      }
    }
  }

  /// Tiles of 16 numbers of 32 cells: each row 16 pairs of cells (c, c + 16).
  static void pack_values(const char* rows, std::size_t row_bytes, std::int64_t n, std::int64_t depth,
                          const std::uint32_t* seen, char* packed) {
    const std::int64_t end = (n + key_unit - 1) / key_unit * key_unit;
    float cells[key_unit][most_attention_depth];
    for (std::int64_t cell = 0; cell < end; cell += key_unit) {
      for (int i = 0; i < key_unit; ++i) take_row<V>(rows, row_bytes, cell + i, n, depth, seen, cells[i]);
      for (std::int64_t d = 0; d < depth; d += 16, packed += tile_bytes) {
        Words pairs[16];
        for (int i = 0; i < 16; ++i) pairs[i] = bf16_pairs(V::load(cells[i] + d), V::load(cells[i + 16] + d));
        store_transposed(pairs, packed);
      }
    }
  }

  /// Rows of pairs (d, d + 16), their lanes the queries.
  static void pack_queries(const float* from, std::int64_t depth, char* packed) {
    for (std::int64_t d = 0; d < depth; d += 32)
      for (int i = 0; i < 16; ++i)
        for (int c = 0; c < columns; ++c, packed += 64) {
          const float* first = from + (d + i) * lanes + c * 16;
          const F second = d + 16 < depth ? V::load(first + 16 * lanes) : F{};
          const Words pairs = bf16_pairs(V::load(first), second);
          std::memcpy(packed, &pairs, sizeof pairs);
        }
  }

  static void logits(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    const std::int64_t tiles = whole(depth) / 32;
    for (std::int64_t key = begin; key < end; key += key_unit, out += key_unit * lanes) {
      const char* first = keys + key / 16 * tile_bytes * tiles;
      const char* second = first + tile_bytes * tiles;
      zero_sums();
      for (std::int64_t i = 0; i < tiles; ++i)
        multiply(first + i * tile_bytes, second + i * tile_bytes, queries + i * 16 * row_bytes_of_lanes);
      store_sums(out);
    }
  }

  /// Rounded to nearest by half of the last bit that stays. `sum` takes the rounded weights.
  static CHUNKKV_INLINE void store_weights(float*, float*, char* pair, F a, F b, F& sum) {
    const Words pairs = bf16_pairs(a, b);
    std::memcpy(pair, &pairs, sizeof pairs);
    sum += (F)(pairs << 16) + (F)(pairs & 0xffff0000u);
  }

  static void add_values(const float*, const char* weights, const char* values, std::int64_t depth,
                         std::int64_t begin, std::int64_t end, float* out) {
    const std::int64_t tiles = depth / 16;
    const std::size_t group = std::size_t(tiles) * tile_bytes;
    values += std::size_t(begin / key_unit) * group;
    const std::int64_t groups = (end - begin) / key_unit;
    std::int64_t i = 0;
    for (; i + 2 <= tiles; i += 2, out += 32 * lanes) {
      load_sums(out);
      const char* tile = values + i * tile_bytes;
      for (std::int64_t g = 0; g < groups; ++g, tile += group)
        multiply(tile, tile + tile_bytes, weights + g * 16 * row_bytes_of_lanes);
      store_sums(out);
    }
    if (i == tiles) return;
    T::template load<0>(out, row_bytes_of_lanes);
    T::template load<1>(out + 16, row_bytes_of_lanes);
    for (std::int64_t g = 0; g < groups; ++g) {
      T::template load<4>(values + i * tile_bytes + std::size_t(g) * group, 64);
      T::template load<6>(weights + g * 16 * row_bytes_of_lanes, row_bytes_of_lanes);
      T::template load<7>(weights + g * 16 * row_bytes_of_lanes + 64, row_bytes_of_lanes);
      T::template multiply<0, 4, 6>();
      T::template multiply<1, 4, 7>();
    }
    T::template store<0>(out, row_bytes_of_lanes);
    T::template store<1>(out + 16, row_bytes_of_lanes);
  }

 private:
  static constexpr int tile_bytes = 1024;
  static constexpr int row_bytes_of_lanes = lanes * 4;

  /// Depth in whole tiles.
  static constexpr std::int64_t whole(std::int64_t depth) { return (depth + 31) / 32 * 32; }

  static CHUNKKV_INLINE void store_transposed(Words (&rows)[16], char* to) {
#ifdef __AVX512F__
    __m512i r[16];
    for (int i = 0; i < 16; ++i) r[i] = (__m512i)rows[i];
    transpose(r);
    for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + 64 * i, r[i]);
#else
    for (int row = 0; row < 16; ++row)
      for (int i = 0; i < 16; ++i) {
        const std::uint32_t pair = rows[i][row];
        std::memcpy(to + 64 * row + 4 * i, &pair, sizeof pair);
      }
#endif
  }

  // Tiles 0 to 3 are the sums, by rows and by lanes.
  static CHUNKKV_INLINE void zero_sums() {
    T::template zero<0>();
    T::template zero<1>();
    T::template zero<2>();
    T::template zero<3>();
  }
  static CHUNKKV_INLINE void load_sums(const float* from) {
    T::template load<0>(from, row_bytes_of_lanes);
    T::template load<1>(from + 16, row_bytes_of_lanes);
    T::template load<2>(from + 16 * lanes, row_bytes_of_lanes);
    T::template load<3>(from + 16 * lanes + 16, row_bytes_of_lanes);
  }
  static CHUNKKV_INLINE void store_sums(float* to) {
    T::template store<0>(to, row_bytes_of_lanes);
    T::template store<1>(to + 16, row_bytes_of_lanes);
    T::template store<2>(to + 16 * lanes, row_bytes_of_lanes);
    T::template store<3>(to + 16 * lanes + 16, row_bytes_of_lanes);
  }
  static CHUNKKV_INLINE void multiply(const char* first, const char* second, const char* pairs) {
    T::template load<4>(first, 64);
    T::template load<6>(pairs, row_bytes_of_lanes);
    T::template load<5>(second, 64);
    T::template load<7>(pairs + 64, row_bytes_of_lanes);
    T::template multiply<0, 4, 6>();
    T::template multiply<1, 4, 7>();
    T::template multiply<2, 5, 6>();
    T::template multiply<3, 5, 7>();
  }
};

}  // namespace
}  // namespace chunkkv::kernels
