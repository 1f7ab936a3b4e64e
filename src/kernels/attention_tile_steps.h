#pragma once

#include "kernels/attention_tile_received.h"

// The products of attention on tiles, two by two tiles at a time: 32 cells, or 32 numbers of values, with 32
// queries. A step is cut into parts of a few instructions. The processor can have few writes to tiles in
// flight and stalls at the next one, so parts are spread over other work (attention_strips.h).
namespace chunkkv::kernels {
namespace {

/// A product of two by two tiles. Tiles 0 to 3 hold the sums, by rows and then by lanes; tile 4 a tile of
/// rows, tiles 6 and 7 those of lanes.
template <class T>
struct TileSquare {
  static CHUNKKV_INLINE void zero() {
    T::template zero<0>();
    T::template zero<1>();
    T::template zero<2>();
    T::template zero<3>();
  }
  static CHUNKKV_INLINE void load(const float* from) {
    load_upper(from);
    T::template load<2>(from + 16 * kAttentionTileLanes, kAttentionTileRow);
    T::template load<3>(from + 16 * kAttentionTileLanes + 16, kAttentionTileRow);
  }
  static CHUNKKV_INLINE void store(float* to) {
    store_upper(to);
    T::template store<2>(to + 16 * kAttentionTileLanes, kAttentionTileRow);
    T::template store<3>(to + 16 * kAttentionTileLanes + 16, kAttentionTileRow);
  }
  static CHUNKKV_INLINE void load_upper(const float* from) {
    T::template load<0>(from, kAttentionTileRow);
    T::template load<1>(from + 16, kAttentionTileRow);
  }
  static CHUNKKV_INLINE void store_upper(float* to) {
    T::template store<0>(to, kAttentionTileRow);
    T::template store<1>(to + 16, kAttentionTileRow);
  }

  /// Does part `Part` of: sums += both tiles of rows, `upper` and `lower`, times the two tiles of `pairs`.
  template <int Part>
  static CHUNKKV_INLINE void multiply(const char* upper, const char* lower, const char* pairs) {
    if constexpr (Part == 0) {
      T::template load<4>(upper, 64);
      T::template load<6>(pairs, kAttentionTileRow);
    } else if constexpr (Part == 1) {
      T::template multiply<0, 4, 6>();
      T::template load<7>(pairs + 64, kAttentionTileRow);
    } else if constexpr (Part == 2) {
      T::template multiply<1, 4, 7>();
      T::template load<4>(lower, 64);
    } else {
      T::template multiply<2, 4, 6>();
      T::template multiply<3, 4, 7>();
    }
  }
  /// The same of the product of the upper tile alone.
  template <int Part>
  static CHUNKKV_INLINE void multiply_upper(const char* upper, const char* pairs) {
    if constexpr (Part == 0) {
      T::template load<4>(upper, 64);
    } else if constexpr (Part == 1) {
      T::template load<6>(pairs, kAttentionTileRow);
    } else if constexpr (Part == 2) {
      T::template load<7>(pairs + 64, kAttentionTileRow);
    } else {
      T::template multiply<0, 4, 6>();
      T::template multiply<1, 4, 7>();
    }
  }
};

/// Computes logits [keys from `begin` to `end`][lanes] from tiles of keys and the queries' rows of pairs.
/// Queries of two tiles along the depth stay in tiles 4 to 7, so that a tile is loaded for two products
/// instead of one: loads are what the processor can do least of where its core serves a second thread.
template <class T>
class LogitSteps {
  using Square = TileSquare<T>;

 public:
  LogitSteps() = default;
  LogitSteps(const char* queries, const char* keys, std::int64_t depth, std::int64_t begin, std::int64_t end,
             float* out)
      : queries_(queries),
        keys_(keys + begin / 16 * kAttentionTileBytes * ((depth + 31) / 32)),
        out_(out),
        tiles_((depth + 31) / 32),
        left_(tiles_ * ((end - begin) / kAttentionTileKeys)) {}

  /// How many steps are left.
  std::int64_t left() const { return left_; }

  /// Does part `Part` of the next step.
  template <int Part>
  CHUNKKV_INLINE void part() {
    if (tiles_ == 2)
      part_of_row<Part>();
    else
      part_of_square<Part>();
    if constexpr (Part == kLastPart) --left_;
  }

 private:
  /// Of a step: the logits of 16 keys, whose numbers fill two tiles.
  template <int Part>
  CHUNKKV_INLINE void part_of_row() {
    if constexpr (Part == 0) {
      if (queries_ != nullptr) load_queries();
      T::template zero<0>();
      T::template zero<1>();
      T::template load<2>(keys_, 64);
    } else if constexpr (Part == 1) {
      T::template multiply<0, 2, 4>();
      T::template multiply<1, 2, 5>();
      T::template load<3>(keys_ + kAttentionTileBytes, 64);
    } else if constexpr (Part == 2) {
      T::template multiply<0, 3, 6>();
      T::template multiply<1, 3, 7>();
    } else {
      Square::store_upper(out_);
      keys_ += 2 * kAttentionTileBytes;
      out_ += 16 * kAttentionTileLanes;
    }
  }
  CHUNKKV_INLINE void load_queries() {
    const char* lower = queries_ + 16 * kAttentionTileRow;
    T::template load<4>(queries_, kAttentionTileRow);
    T::template load<5>(queries_ + 64, kAttentionTileRow);
    T::template load<6>(lower, kAttentionTileRow);
    T::template load<7>(lower + 64, kAttentionTileRow);
    queries_ = nullptr;
  }

  /// Of a step: a tile along the depth of 32 keys.
  template <int Part>
  CHUNKKV_INLINE void part_of_square() {
    if constexpr (Part == 0)
      if (tile_ == 0) Square::zero();
    Square::template multiply<Part>(keys_ + tile_ * kAttentionTileBytes,
                                    keys_ + (tiles_ + tile_) * kAttentionTileBytes,
                                    queries_ + tile_ * 16 * kAttentionTileRow);
    if constexpr (Part == kLastPart) {
      if (++tile_ < tiles_) return;
      Square::store(out_);
      tile_ = 0;
      keys_ += 2 * tiles_ * kAttentionTileBytes;
      out_ += kAttentionTileKeys * kAttentionTileLanes;
    }
  }

  const char *queries_ = nullptr, *keys_ = nullptr;
  float* out_ = nullptr;
  std::int64_t tiles_ = 0;  // tiles along the depth
  std::int64_t left_ = 0, tile_ = 0;
};

/// Computes sums [depth][lanes] += values of the cells from `begin` to `end` times their weights. A step
/// takes 32 numbers of 32 cells' values.
template <class T>
class ValueSteps {
  using Square = TileSquare<T>;

 public:
  ValueSteps() = default;
  /// `totals`: of the strip with these cells (attention_tile_received.h), to which what they receive is
  /// added; null: nothing is.
  ValueSteps(const char* weights, const char* values, std::int64_t depth, std::int64_t begin,
             std::int64_t end, float* sums, float* totals)
      : weights_(weights),
        values_(values + begin / kAttentionTileKeys * (depth / 16) * kAttentionTileBytes),
        sums_(sums),
        totals_(totals),
        tiles_(depth / 16),
        groups_((end - begin) / kAttentionTileKeys),
        first_group_(begin % kAttentionTileStrip / kAttentionTileKeys),
        left_(groups_ * ((tiles_ + 1) / 2)) {}

  /// How many steps are left.
  std::int64_t left() const { return left_; }

  /// Does part `Part` of the next step.
  template <int Part>
  CHUNKKV_INLINE void part() {
    const char* upper = values_ + (group_ * tiles_ + tile_) * kAttentionTileBytes;
    const char* pairs = weights_ + group_ * 16 * kAttentionTileRow;
    const bool whole = tile_ + 1 < tiles_;
    if constexpr (Part == 0)
      if (group_ == 0) start(whole);
    if (whole)
      Square::template multiply<Part>(upper, upper + kAttentionTileBytes, pairs);
    else
      Square::template multiply_upper<Part>(upper, pairs);
    if constexpr (Part == kLastPart) {
      --left_;
      if (totals_ != nullptr) StripTotals<T>::add(first_group_ + group_);
      if (++group_ == groups_) finish(whole);
    }
  }

 private:
  CHUNKKV_INLINE void start(bool whole) {
    if (totals_ != nullptr) StripTotals<T>::load(totals_);
    if (whole)
      Square::load(sums_);
    else
      Square::load_upper(sums_);
  }
  CHUNKKV_INLINE void finish(bool whole) {
    if (totals_ != nullptr) StripTotals<T>::store(totals_);
    totals_ = nullptr;  // the weights were taken once
    if (whole)
      Square::store(sums_);
    else
      Square::store_upper(sums_);
    group_ = 0;
    tile_ += 2;
    sums_ += 32 * kAttentionTileLanes;
  }

  const char *weights_ = nullptr, *values_ = nullptr;
  float *sums_ = nullptr, *totals_ = nullptr;
  std::int64_t tiles_ = 0;        // tiles along the depth
  std::int64_t groups_ = 0;       // groups of 32 cells
  std::int64_t first_group_ = 0;  // of the strip
  std::int64_t left_ = 0, tile_ = 0, group_ = 0;
};

}  // namespace
}  // namespace chunkkv::kernels
