#pragma once

#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Keys as whole numbers, for comparing them with each other: multiples of a unit of each key's own. Numbers
/// of neighbouring depths form a group of 32 bits, so that a plain broadcast brings it to all lanes. `N`:
/// such numbers. If it has an offset, keys that are lanes have it added to each number, and sums begin with
/// what that adds, negated. `Rows` keys are multiplied by `Columns` vectors of lanes at a time.
template <class N, int Rows, int Columns>
struct IntegerKeys {
  using Vector = typename N::V;
  using V = Vector;
  using F = typename V::F;
  using I = typename V::I;
  using Number = typename N::Number;
  static constexpr int kColumns = Columns;
  static constexpr int kLanes = Columns * V::kWidth;
  static constexpr int kKeyUnit = Rows;
  static constexpr bool kHasSteps = false;
  using Logits = NoSteps;
  struct Scope {};

  /// A key's numbers, its unit and what sums begin with.
  static constexpr std::size_t row_bytes(std::int64_t depth) {
    return std::size_t(depth) * sizeof(Number) + 8;
  }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return kLanes * (std::size_t(depth) * sizeof(Number) + 4);
  }

  /// Packs keys, [n][depth], into panels: [groups of depth][rows], units [rows], beginnings of sums [rows].
  /// errors[n] = their distances from what is packed.
  static void pack_rows(const float* keys, std::int64_t n, std::int64_t depth, char* packed, float* errors) {
    for (std::int64_t key = 0; key < n; key += Rows, packed += Rows * row_bytes(depth))
      for (std::int64_t r = 0; r < Rows; ++r) {
        const std::int64_t from = min_of(key + r, n - 1);  // the last key stands for what is missing
        errors[from] = pack(keys + from * depth, depth, packed + 4 * r);
      }
  }

  /// Packs some of the keys as lanes, from what `pack_rows` made of them: [groups of depth][lanes], units
  /// [lanes].
  static void pack_lanes(const char* packed_rows, const std::int32_t* rows, std::int64_t depth,
                         char* packed) {
    const std::int64_t n_groups = depth / kGroup;
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const char* from =
          packed_rows + std::size_t(rows[i] / Rows * Rows) * row_bytes(depth) + rows[i] % Rows * 4;
      for (std::int64_t group = 0; group < n_groups; ++group) {
        std::int32_t bits;
        std::memcpy(&bits, from + group * Rows * 4, sizeof bits);
        bits ^= N::kOffsets;
        std::memcpy(packed + (group * kLanes + i) * 4, &bits, sizeof bits);
      }
      std::memcpy(packed + (n_groups * kLanes + i) * 4, from + n_groups * Rows * 4, sizeof(float));
    }
  }

  /// out[end - begin][lanes] = the products of keys and lanes.
  static void logits(const char* lanes, const char* keys, std::int64_t depth, std::int64_t begin,
                     std::int64_t end, float* out) {
    keys += std::size_t(begin) * row_bytes(depth);
    for (; begin < end; begin += Rows, keys += Rows * row_bytes(depth), out += Rows * kLanes)
      multiply(keys, lanes, depth / kGroup, out);
  }

 private:
  static constexpr std::int64_t kGroup = 4 / std::int64_t(sizeof(Number));  // numbers in 32 bits
  typedef Number Numbers __attribute__((vector_size(V::kWidth * sizeof(Number))));

  static CHUNKKV_INLINE I all(const char* group) {
    std::int32_t bits;
    std::memcpy(&bits, group, sizeof bits);
    return I{} + bits;
  }
  static CHUNKKV_INLINE I load(const char* from) { return V::load((const std::uint32_t*)from); }

  /// Packs a key as a row of a panel and returns its distance from what is packed.
  static float pack(const float* key, std::int64_t depth, char* row) {
    const float unit = N::unit_of(key, depth), factor = unit > 0x1p-100f ? 1 / unit : 0;
    I sum{};
    F squares{};
    for (std::int64_t d = 0; d < depth; d += V::kWidth) {
      const F x = V::load(key + d), shift = V::all(0x1.8p23f);
      const F nearest = x * V::all(factor) + shift;  // its lowest bits hold the whole number
      const I whole = ((I)nearest - (I)shift) & (nearest == nearest);  // 0 for what is no number
      const F lost = x - (nearest - shift) * V::all(unit);
      sum += whole;
      squares += lost * lost;
      const auto narrow = __builtin_convertvector(whole, Numbers);
      char groups[sizeof narrow];
      std::memcpy(groups, &narrow, sizeof narrow);
      for (std::size_t at = 0; at < sizeof groups; at += 4, row += Rows * 4) std::memcpy(row, groups + at, 4);
    }
    std::int32_t begin = 0;
    for (int i = 0; i < V::kWidth; ++i) begin -= N::kOffset * sum[i];
    std::memcpy(row, &unit, sizeof unit);
    std::memcpy(row + Rows * 4, &begin, sizeof begin);
    float sums[4];
    V::store_sums(squares, F{}, F{}, F{}, sums);
    return __builtin_sqrtf(sums[0]);
  }

  static CHUNKKV_INLINE void multiply(const char* panel, const char* lanes, std::int64_t n_groups,
                                      float* out) {
    const char *const units = panel + n_groups * Rows * 4, *const begins = units + Rows * 4;
    I sums[Rows][Columns];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Columns; ++c) sums[r][c] = N::kOffset != 0 ? all(begins + 4 * r) : I{};
    for (std::int64_t group = 0; group < n_groups; ++group, panel += Rows * 4, lanes += kLanes * 4) {
      I column[Columns];
#pragma GCC unroll 4
      for (int c = 0; c < Columns; ++c) column[c] = load(lanes + sizeof(I) * c);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const I x = all(panel + 4 * r);
#pragma GCC unroll 4
        for (int c = 0; c < Columns; ++c) sums[r][c] = N::add_products(column[c], x, sums[r][c]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Columns; ++c) {
        const F unit = V::all(numbers(units)[r]) * V::load(numbers(lanes) + V::kWidth * c);
        V::store(out + r * kLanes + V::kWidth * c, __builtin_convertvector(sums[r][c], F) * unit);
      }
  }
};

}  // namespace
}  // namespace chunkkv::kernels
