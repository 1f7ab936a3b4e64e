#pragma once

#include "kernels/attention.h"
#include "kernels/attention_phases.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// A strip, or a part of it, that queries of a tile took.
template <class A>
struct TakenStrip {
  std::int64_t strip;
  bool is_kept;                              ///< its weights are kept
  float maximum[A::kLanes], sum[A::kLanes];  ///< the queries' sums of weights after it: sum 2^maximum
};

/// What `Received` knows of a tile.
struct ReceivedTile {
  /// The most strips whose weights are kept. Where queries of one sequence see different strips first or
  /// last, the tile has two first strips and one local strip more.
  static constexpr std::int64_t kMostKept = 6;
  struct Kept {
    std::int64_t strip, begin, count, taken;  ///< the strip, its cells, and which of the taken ones it is
  };

  std::int64_t n_taken, n_summed;  ///< how many strips were taken, and for how many the sums are known
  std::int64_t n_kept;
  Kept kept[kMostKept];
};

/// A thread's memory for `Received`.
template <class A>
struct ReceivedMemory {
  ReceivedTile* tiles = nullptr;   ///< [tiles]
  TakenStrip<A>* taken = nullptr;  ///< [tiles][n_taken]
  char* weights = nullptr;         ///< [tiles][kMostKept][a strip's weights]
  char* factors = nullptr;         ///< factors of a tile's lanes, packed
  float* totals = nullptr;         ///< [heads of a group][cells of a block], strip by strip as `A` has them
  float* due = nullptr;            ///< [strips of all cells][a vector]
  std::int64_t n_strips = 0;       ///< strips of all cells
  std::int64_t n_taken = 0;        ///< the most strips that a tile takes, and one

  ReceivedMemory() = default;
  ReceivedMemory(const AttentionTask& task, std::int64_t n_tiles, MemoryParts& all) {
    const std::int64_t strip = A::strip(task.depth), group = task.n_head / task.n_head_kv;
    n_strips = (task.n_cells + strip - 1) / strip;
    n_taken = 1 + kPhases * n_strips;  // what is not used is never touched
    tiles = all.take_array<ReceivedTile>(std::size_t(n_tiles));
    taken = all.take_array<TakenStrip<A>>(std::size_t(n_tiles * n_taken));
    weights = all.take(std::size_t(n_tiles * ReceivedTile::kMostKept) * strip_bytes(task.depth));
    factors = all.take(A::kFactorBytes);
    totals = all.take_floats(std::size_t(group * A::block(task.depth)));
    due = all.take_floats(std::size_t(n_strips * A::Vector::kWidth));
  }

  /// The weights of a cell; 0 kWeightBytes: they are floats in the logits' place.
  static constexpr std::size_t kCellBytes =
      A::kWeightBytes != 0 ? A::kWeightBytes : A::kLanes * sizeof(float);
  static constexpr std::size_t strip_bytes(std::int64_t depth) {
    return std::size_t(A::strip(depth)) * kCellBytes;
  }
};

}  // namespace
}  // namespace chunkkv::kernels
