#pragma once

#include "kernels/attention.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Keys as whole numbers, for comparing them with each other: multiples of a unit that a panel of `Rows` keys
/// shares. Numbers of two or four depths form a group of 32 bits, so that a plain broadcast brings it to all
/// lanes. `N`: such numbers. If it has an offset, keys that are lanes have it added to each number, and sums
/// begin with what that adds, negated. A panel is multiplied by `Columns` vectors of lanes at a time.
///
/// Nearly all products are far below what is asked for, and a few depths make most of each. These lead. What
/// the others add is at most the product of their lengths (Cauchy and Schwarz), which are packed as one more
/// group: the others are multiplied only where that is enough for a product to exceed its bound.
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
  static constexpr bool kHasPlaces = true;
  using Logits = NoSteps;
  struct Scope {};
  static constexpr std::int64_t kGroup = 4 / std::int64_t(sizeof(Number));  // numbers in 32 bits

  /// A key's groups and the length of those that do not lead, its unit, what sums of both kinds of groups
  /// begin with, and a share of what a panel has once.
  static constexpr std::size_t row_bytes(std::int64_t depth) {
    return std::size_t(depth) * sizeof(Number) + 20;
  }
  static constexpr std::size_t query_bytes(std::int64_t depth) {
    return kLanes * (std::size_t(depth) * sizeof(Number) + 8);
  }

  /// Where each pair of neighbouring depths is packed in a row, and for each depth, whether that is in a
  /// group which does not lead: all bits or none.
  struct Places {
    std::uint16_t pairs[kMostAttentionDepth / 2];
    std::int32_t others[kMostAttentionDepth];
  };

  /// Pairs with greater `energies`, [depth], come earlier.
  static void find_places(const float* energies, std::int64_t depth, Places& places) {
    const std::int64_t n_leading = leading(depth / kGroup);
    const auto energy = [&](std::int64_t pair) { return energies[2 * pair] + energies[2 * pair + 1]; };
    for (std::int64_t pair = 0; pair < depth / 2; ++pair) {
      std::int64_t rank = 0;
      for (std::int64_t other = 0; other < depth / 2; ++other)
        if (energy(other) > energy(pair) || (energy(other) == energy(pair) && other < pair)) ++rank;
      const std::int64_t group = 2 * rank / kGroup, place = group < n_leading ? group : group + 1;
      places.pairs[pair] = std::uint16_t(place * Rows * 4 + 2 * rank % kGroup * std::int64_t(sizeof(Number)));
      for (std::int64_t d = 2 * pair; d < 2 * pair + 2; ++d) places.others[d] = group < n_leading ? 0 : -1;
    }
  }

  /// Packs keys, [n][depth], into panels: leading groups [][rows], lengths of the others [rows], these
  /// [][rows], units [rows], beginnings of sums [2][rows], the unit and the greatest length. errors[n] = the
  /// keys' distances from what is packed.
  static void pack_rows(const float* keys, std::int64_t n, std::int64_t depth, const Places& places,
                        char* packed, float* errors) {
    for (std::int64_t key = 0; key < n; key += Rows, packed += Rows * row_bytes(depth)) {
      const std::int64_t n_rows = min_of(std::int64_t(Rows), n - key);
      pack_panel(keys + key * depth, n_rows, depth, places, packed, errors + key);
    }
  }

  /// Packs some of the keys as lanes, from what `pack_rows` made of them: groups, lengths and units, in the
  /// same order.
  static void pack_lanes(const char* packed_rows, const std::int32_t* rows, std::int64_t depth,
                         char* packed) {
    for (std::int64_t i = 0; i < kLanes;) {
      const char* panel = packed_rows + std::size_t(rows[i] / Rows * Rows) * row_bytes(depth);
      if (i + Rows <= kLanes && are_panel(rows + i)) {
        copy_lanes<Rows>(panel, depth / kGroup, packed + 4 * i);
        i += Rows;
      } else {
        copy_lanes<1>(panel + rows[i] % Rows * 4, depth / kGroup, packed + 4 * i);
        ++i;
      }
    }
  }

  /// out[end - begin][lanes] = the products of keys and lanes. Only of panels and columns where one exceeds
  /// its lane's `bounds`: near[columns] has a bit for each such panel.
  static void products(const char* lanes, const char* keys, std::int64_t depth, std::int64_t begin,
                       std::int64_t end, const float* bounds, float* out, std::uint64_t* near) {
    for (int c = 0; c < Columns; ++c) near[c] = 0;
    keys += std::size_t(begin) * row_bytes(depth);
    for (std::uint64_t bit = 1; begin < end; begin += Rows, bit <<= 1) {
      multiply(keys, lanes, depth / kGroup, bounds, out, bit, near);
      keys += Rows * row_bytes(depth);
      out += Rows * kLanes;
    }
  }

 private:
  typedef Number Numbers __attribute__((vector_size(V::kWidth * sizeof(Number))));

  /// How many groups lead.
  static constexpr std::int64_t leading(std::int64_t n_groups) { return (7 * n_groups + 8) / 16; }

  /// Whether `Rows` keys are those of a panel.
  static CHUNKKV_INLINE bool are_panel(const std::int32_t* rows) {
    bool are = rows[0] % Rows == 0;
    for (int r = 1; r < Rows; ++r) are &= rows[r] == rows[0] + r;
    return are;
  }

  /// Copies neighbouring rows of a panel to lanes.
  template <int Count>
  static CHUNKKV_INLINE void copy_lanes(const char* from, std::int64_t n_groups, char* to) {
    const auto copy = [&](std::int64_t n, std::int32_t offsets) __attribute__((always_inline)) {
      for (; n > 0; --n, from += Rows * 4, to += kLanes * 4) {
        std::int32_t groups[Count];
        std::memcpy(groups, from, sizeof groups);
        for (std::int32_t& group : groups) group ^= offsets;
        std::memcpy(to, groups, sizeof groups);
      }
    };
    copy(leading(n_groups), N::kOffsets);
    copy(1, 0);  // lengths
    copy(n_groups - leading(n_groups), N::kOffsets);
    copy(1, 0);  // units
  }

  static CHUNKKV_INLINE I all(const char* group) {
    std::int32_t bits;
    std::memcpy(&bits, group, sizeof bits);
    return I{} + bits;
  }
  static CHUNKKV_INLINE I load(const char* from) { return V::load((const std::uint32_t*)from); }

  static void pack_panel(const float* keys, std::int64_t n, std::int64_t depth, const Places& places,
                         char* panel, float* errors) {
    const std::int64_t n_groups = depth / kGroup;
    float unit = N::unit_of(keys, n * depth), units[Rows];  // of those, and of each
    for (float& own : units) own = unit;
    if (!is_finite(unit)) {  // some key is no number
      unit = 0;
      for (std::int64_t r = 0; r < Rows; ++r) {
        units[r] = N::unit_of(keys + min_of(r, n - 1) * depth, depth);
        if (is_finite(units[r]) && units[r] > unit) unit = units[r];
      }
    }
    for (bool fits = false; !fits; unit *= fits ? 1 : 2) {
      fits = true;
      for (std::int64_t r = 0; r < Rows; ++r) {
        const std::int64_t from = min_of(r, n - 1);  // the last key stands for what is missing
        fits = pack(keys + from * depth, depth, places, unit, panel + 4 * r, errors[from]) && fits;
      }
    }
    char* const to = panel + (n_groups + 1) * Rows * 4;
    for (float& own : units) own = is_finite(own) ? unit : __builtin_nanf("");  // no product exceeds a bound
    std::memcpy(to, units, sizeof units);
    std::memcpy(to + 3 * sizeof units, &unit, sizeof unit);
    Number length = 0;
    for (int r = 0; r < Rows; ++r) {
      Number own;
      std::memcpy(&own, panel + (leading(n_groups) * Rows + r) * 4, sizeof own);
      length = own > length ? own : length;
    }
    fill(length, to + 3 * sizeof units + 4);
  }

  /// Packs a key as multiples of `unit`. Sets its distance from them. False if the length of the groups that
  /// do not lead is too great for a number.
  static bool pack(const float* key, std::int64_t depth, const Places& places, float unit, char* row,
                   float& distance) {
    const float factor = unit > 0x1p-100f ? 1 / unit : 0;
    const std::uint16_t* place = places.pairs;
    F lost{}, all{}, others{}, squares{};
    for (std::int64_t d = 0; d < depth; d += V::kWidth) {
      const F x = V::load(key + d), scaled = x * V::all(factor), shift = V::all(0x1.8p23f);
      const F nearest = scaled + shift;            // its lowest bits hold the whole number
      const I is_number = scaled - scaled == F{};  // 0 stands for what is none
      const F number = (F)((I)(nearest - shift) & is_number), rest = x - (nearest - shift) * V::all(unit);
      const F other = (F)((I)number & V::load((const std::uint32_t*)places.others + d));
      lost += rest * rest;
      all += number;
      others += other;
      squares += other * other;
      const auto narrow = __builtin_convertvector(((I)nearest - (I)shift) & is_number, Numbers);
      char pairs[sizeof narrow];
      std::memcpy(pairs, &narrow, sizeof narrow);
      for (std::size_t at = 0; at < sizeof pairs; at += 2 * sizeof(Number))
        std::memcpy(row + *place++, pairs + at, 2 * sizeof(Number));
    }
    float sums[4];
    V::store_sums(lost, all, others, squares, sums);
    distance = __builtin_sqrtf(sums[0]);
    const std::int64_t n_groups = depth / kGroup;
    const std::int32_t begins[2] = {-N::kOffset * std::int32_t(sums[1] - sums[2]),
                                    -N::kOffset * std::int32_t(sums[2])};
    std::memcpy(row + (n_groups + 2) * Rows * 4, &begins[0], 4);
    std::memcpy(row + (n_groups + 3) * Rows * 4, &begins[1], 4);
    // All numbers of a group together are the length, and not less than it is.
    const float length = __builtin_sqrtf(sums[3] / float(kGroup)) * 1.00001f + 1;
    if (!(length <= N::kGreatest)) return false;
    fill(Number(length), row + leading(n_groups) * Rows * 4);
    return true;
  }

  static bool is_finite(float x) { return x - x == 0; }

  static void fill(Number x, char* group) {
    for (std::size_t i = 0; i < 4; i += sizeof x) std::memcpy(group + i, &x, sizeof x);
  }

  using Sums = I[Rows][Columns];

  /// Adds the products of `n` groups.
  static CHUNKKV_INLINE void add_groups(const char* panel, const char* lanes, std::int64_t n, Sums& sums) {
    for (std::int64_t group = 0; group < n; ++group, panel += Rows * 4, lanes += kLanes * 4) {
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
  }

  /// Multiplies a panel, and stores the products of columns where one exceeds its bound.
  static CHUNKKV_INLINE void multiply(const char* panel, const char* lanes, std::int64_t n_groups,
                                      const float* bounds, float* out, std::uint64_t bit,
                                      std::uint64_t* near) {
    const std::int64_t n_leading = leading(n_groups), n_others = n_groups - n_leading;
    const char* const lane_units = lanes + (n_groups + 1) * kLanes * 4;
    const char* const units = panel + (n_groups + 1) * Rows * 4;
    const char *const begins = units + Rows * 4, *const begins_of_others = begins + Rows * 4;
    const char *const panel_unit = begins_of_others + Rows * 4, *const length = panel_unit + 4;
    const auto may_hit = [&](I most, int c) __attribute__((always_inline)) {
      const F unit = V::all(*numbers(panel_unit)) * V::load(numbers(lane_units) + V::kWidth * c);
      return V::above(__builtin_convertvector(most, F) * unit, V::load(bounds + V::kWidth * c)) != 0;
    };
    Sums sums;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Columns; ++c) sums[r][c] = N::kOffset != 0 ? all(begins + 4 * r) : I{};
    add_groups(panel, lanes, n_leading, sums);
    panel += n_leading * Rows * 4;
    lanes += n_leading * kLanes * 4;
    // Columns are decided together: a jump that the processor guesses wrong costs as much as some groups.
    bool any = false;
#pragma GCC unroll 4
    for (int c = 0; c < Columns; ++c) {
      I most = sums[0][c];
#pragma GCC unroll 8
      for (int r = 1; r < Rows; ++r) most = V::maximum(sums[r][c], most);
      any |= may_hit(N::add_products(load(lanes + sizeof(I) * c), all(length), most), c);
    }
    if (!any) return;
    add_groups(panel + Rows * 4, lanes + kLanes * 4, n_others, sums);
#pragma GCC unroll 4
    for (int c = 0; c < Columns; ++c) {
      I most{};
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        if (N::kOffset != 0) sums[r][c] += all(begins_of_others + 4 * r);
        most = r == 0 ? sums[r][c] : V::maximum(sums[r][c], most);
      }
      if (!may_hit(most, c)) continue;
      near[c] |= bit;
      const F lane_unit = V::load(numbers(lane_units) + V::kWidth * c);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r)
        V::store(out + r * kLanes + V::kWidth * c,
                 __builtin_convertvector(sums[r][c], F) * (V::all(numbers(units)[r]) * lane_unit));
    }
  }
};

}  // namespace
}  // namespace chunkkv::kernels
