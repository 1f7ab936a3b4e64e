#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/attention_vectors.h"

// The products of attention on tiles, two by two tiles at a time: 32 cells, or 32 numbers of values, with 32
// queries. Each product is cut into quarters of a few instructions. The processor can have few writes to
// tiles in flight and stalls at the next one, so they are spread over other work (attention_strips.h).
namespace chunkkv::kernels {
namespace {

constexpr int kAttentionTileBytes = 1024;
constexpr int kAttentionTileLanes = 32;
constexpr int kAttentionTileRow = kAttentionTileLanes * 4;  // bytes of a row of lanes
constexpr int kAttentionTileKeys = 32;
constexpr int kQuarters = 4;

/// A product of two by two tiles. Tiles 0 to 3 hold the sums, by rows and then by lanes.
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

  /// Does a quarter of: sums += both tiles of rows, `upper` and `lower`, times the two tiles of `pairs`.
  static CHUNKKV_INLINE void multiply(int quarter, const char* upper, const char* lower, const char* pairs) {
    switch (quarter) {
      case 0:
        T::template load<4>(upper, 64);
        T::template load<6>(pairs, kAttentionTileRow);
        break;
      case 1:
        T::template multiply<0, 4, 6>();
        T::template load<7>(pairs + 64, kAttentionTileRow);
        break;
      case 2:
        T::template multiply<1, 4, 7>();
        T::template load<5>(lower, 64);
        break;
      default:
        T::template multiply<2, 5, 6>();
        T::template multiply<3, 5, 7>();
    }
  }
  /// Does all of it at once.
  static CHUNKKV_INLINE void multiply_whole(const char* upper, const char* lower, const char* pairs) {
    for (int quarter = 0; quarter < kQuarters; ++quarter) multiply(quarter, upper, lower, pairs);
  }
  /// Does a quarter of the product of the upper tile alone.
  static CHUNKKV_INLINE void multiply_upper(int quarter, const char* upper, const char* pairs) {
    switch (quarter) {
      case 0:
        T::template load<4>(upper, 64);
        break;
      case 1:
        T::template load<6>(pairs, kAttentionTileRow);
        break;
      case 2:
        T::template load<7>(pairs + 64, kAttentionTileRow);
        break;
      default:
        T::template multiply<0, 4, 6>();
        T::template multiply<1, 4, 7>();
    }
  }
};

/// Computes logits [keys from `begin` to `end`][lanes] from tiles of keys and the queries' rows of pairs.
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
        left_(kQuarters * tiles_ * ((end - begin) / kAttentionTileKeys)) {}

  std::int64_t left() const { return left_; }

  CHUNKKV_INLINE void next() {
    --left_;
    if (quarter_ == 0 && tile_ == 0) Square::zero();
    Square::multiply(quarter_, keys_ + tile_ * kAttentionTileBytes,
                     keys_ + (tiles_ + tile_) * kAttentionTileBytes,
                     queries_ + tile_ * 16 * kAttentionTileRow);
    quarter_ = (quarter_ + 1) % kQuarters;
    if (quarter_ != 0 || ++tile_ < tiles_) return;
    Square::store(out_);
    tile_ = 0;
    keys_ += 2 * tiles_ * kAttentionTileBytes;
    out_ += kAttentionTileKeys * kAttentionTileLanes;
  }

 private:
  const char *queries_ = nullptr, *keys_ = nullptr;
  float* out_ = nullptr;
  std::int64_t tiles_ = 0;  // tiles along the depth
  std::int64_t left_ = 0, tile_ = 0;
  int quarter_ = 0;
};

/// Adds up, for each cell, its weights times the factors of the lanes: a row of pairs of cells, with the
/// lanes as columns, is also a row of a tile of pairs whose other factor has the lanes as rows.
template <class T>
class ReceivedSteps {
 public:
  static constexpr std::int64_t kTotals = kAttentionTileBytes / 4 / kAttentionTileKeys;

  ReceivedSteps() = default;
  ReceivedSteps(const char* weights, const char* factors, std::int64_t n, float* totals)
      : weights_(weights),
        factors_(factors),
        totals_(totals),
        left_(n > 0 ? kQuarters * (n / kAttentionTileKeys) + 1 : 0) {}

  std::int64_t left() const { return left_; }

  CHUNKKV_INLINE void next() {
    --left_;
    odd_ ? step<1, 0>() : step<0, 1>();
  }

 private:
  static constexpr std::int64_t kGroup = kTotals * kAttentionTileKeys;

  /// A quarter of a group of 32 cells, whose totals are in tile `Now`. Those of the group before it, in tile
  /// `Last`, are stored late: by then they are ready.
  template <int Now, int Last>
  CHUNKKV_INLINE void step() {
    switch (quarter_) {
      case 0:
        if (is_first_) {
          T::template load<4>(factors_, 64);
          T::template load<5>(factors_ + kAttentionTileBytes, 64);
        } else {
          T::template store<Last>(totals_ - kGroup, 64);
        }
        is_first_ = false;
        if (left_ > 0) T::template load<Now>(totals_, 64);
        break;
      case 1:
        T::template load<6>(weights_, kAttentionTileRow);
        break;
      case 2:
        T::template multiply<Now, 6, 4>();
        T::template load<7>(weights_ + 64, kAttentionTileRow);
        break;
      default:
        T::template multiply<Now, 7, 5>();
        totals_ += kGroup;
        weights_ += 16 * kAttentionTileRow;
        odd_ = !odd_;
    }
    quarter_ = (quarter_ + 1) % kQuarters;
  }

  const char *weights_ = nullptr, *factors_ = nullptr;
  float* totals_ = nullptr;
  std::int64_t left_ = 0;
  int quarter_ = 0;
  bool is_first_ = true, odd_ = false;
};

/// Computes sums [depth][lanes] += values of the cells from `begin` to `end` times their weights.
template <class T>
class ValueSteps {
  using Square = TileSquare<T>;

 public:
  ValueSteps() = default;
  ValueSteps(const char* weights, const char* values, std::int64_t depth, std::int64_t begin,
             std::int64_t end, float* sums)
      : weights_(weights),
        values_(values + begin / kAttentionTileKeys * (depth / 16) * kAttentionTileBytes),
        sums_(sums),
        tiles_(depth / 16),
        groups_((end - begin) / kAttentionTileKeys),
        left_(kQuarters * groups_ * ((tiles_ + 1) / 2)) {}

  std::int64_t left() const { return left_; }

  CHUNKKV_INLINE void next() {
    --left_;
    const char* upper = values_ + (group_ * tiles_ + tile_) * kAttentionTileBytes;
    const char* pairs = weights_ + group_ * 16 * kAttentionTileRow;
    const bool whole = tile_ + 1 < tiles_, first = quarter_ == 0 && group_ == 0;
    if (whole) {
      if (first) Square::load(sums_);
      Square::multiply(quarter_, upper, upper + kAttentionTileBytes, pairs);
    } else {
      if (first) Square::load_upper(sums_);
      Square::multiply_upper(quarter_, upper, pairs);
    }
    quarter_ = (quarter_ + 1) % kQuarters;
    if (quarter_ != 0 || ++group_ < groups_) return;
    if (whole)
      Square::store(sums_);
    else
      Square::store_upper(sums_);
    group_ = 0;
    tile_ += 2;
    sums_ += 32 * kAttentionTileLanes;
  }

 private:
  const char *weights_ = nullptr, *values_ = nullptr;
  float* sums_ = nullptr;
  std::int64_t tiles_ = 0;   // tiles along the depth
  std::int64_t groups_ = 0;  // groups of 32 cells
  std::int64_t left_ = 0, tile_ = 0, group_ = 0;
  int quarter_ = 0;
};

}  // namespace
}  // namespace chunkkv::kernels
