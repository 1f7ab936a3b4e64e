#pragma once

#include "kernels/attention.h"
#include "kernels/attention_vectors.h"

namespace chunkkv::kernels {
namespace {

/// Sums of weights by query: `sum` times 2^`maximum`.
template <class A>
struct LaneSums {
  float maximum[A::kLanes], sum[A::kLanes];
};

/// What `Received` knows of the queries of a tile.
template <class A>
struct ReceivedTile {
  std::int64_t local_begin, local_end;  ///< the local cells
  std::int64_t rest_begin;              ///< from this strip on all cells are local
  LaneSums<A> local, rest;              ///< the sums over all local cells, and over those from rest_begin on
  LaneSums<A> all;                      ///< the estimates of the sums over all cells
  /// all = (sums so far) scale + missing, as long as the sums so far are relative to `maximum`.
  float maximum[A::kLanes], scale[A::kLanes], missing[A::kLanes];

  std::int64_t first_begin, first_count;  ///< the cells whose weights are kept; count 0: none yet
};

/// A thread's memory for `Received`.
template <class A>
struct ReceivedMemory {
  ReceivedTile<A>* tiles = nullptr;  ///< [tiles]
  LaneSums<A>* so_far = nullptr;     ///< [tiles][strips of all cells]: the sums after each strip
  char* first_weights = nullptr;     ///< [tiles][a strip's weights]
  char* factors = nullptr;           ///< factors of a tile's lanes, packed
  float* totals = nullptr;           ///< [heads of a group][cells of a block][A::kTotals]
  float* due = nullptr;              ///< [strips of all cells][a vector]
  std::int64_t n_strips = 0;

  ReceivedMemory() = default;
  ReceivedMemory(const AttentionTask& task, std::int64_t n_tiles, MemoryParts& all) {
    const std::int64_t strip = A::strip(task.depth), group = task.n_head / task.n_head_kv;
    n_strips = (task.n_cells + strip - 1) / strip;
    tiles = parts<ReceivedTile<A>>(all, n_tiles);
    so_far = parts<LaneSums<A>>(all, n_tiles * n_strips);
    first_weights = all.take(std::size_t(n_tiles) * strip_bytes(task.depth));
    factors = all.take(A::kFactorBytes);
    totals = all.take_floats(std::size_t(group * A::block(task.depth) * A::kTotals));
    due = all.take_floats(std::size_t(n_strips * A::Vector::kWidth));
  }

  /// The weights of a cell; 0 kWeightBytes: they are floats in the logits' place.
  static constexpr std::size_t kCellBytes =
      A::kWeightBytes != 0 ? A::kWeightBytes : A::kLanes * sizeof(float);
  static constexpr std::size_t strip_bytes(std::int64_t depth) {
    return std::size_t(A::strip(depth)) * kCellBytes;
  }

 private:
  template <class Part>
  static Part* parts(MemoryParts& all, std::int64_t n) {
    return static_cast<Part*>(static_cast<void*>(all.take(std::size_t(n) * sizeof(Part))));
  }
};

}  // namespace
}  // namespace chunkkv::kernels
