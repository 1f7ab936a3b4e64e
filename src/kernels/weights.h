#pragma once

#include "kernels/byte_quants.h"

#include <cstddef>
#include <cstdint>

namespace chunkkv::kernels {

/// Unpacks `count` numbers of a type's plain rows.
using ToFloat = void (*)(const void* from, float* to, std::int64_t count);

/// A layout in which the engine keeps the rows of some outputs together: blocks of `outputs` x `depth`
/// weights follow one another first along the depth, then along the outputs.
struct BlockLayout {
  std::int64_t outputs = 0;
  std::int64_t depth = 0;
  std::size_t bytes = 0;  ///< size of a block
  bool by_depth = false;  ///< `read` writes [depth][outputs]; else rows [outputs][depth]
  /// Unpacks a block, row r to `to` + r * `row`. `plain` unpacks blocks of the type's plain layout.
  void (*read)(const char* block, ToFloat plain, float* to, std::int64_t row) = nullptr;
};

/// The weights of a product, [n_out][depth].
struct Weights {
  const char* data = nullptr;
  std::int64_t depth = 0;
  std::size_t row = 0;                  ///< bytes from row to row, in plain layout
  ToFloat to_float = nullptr;           ///< unpacks plain rows; null: they are F32
  const BlockLayout* layout = nullptr;  ///< null: plain rows
  const ByteQuants* quants = nullptr;   ///< null: cannot be read as whole numbers
};

/// The weights of the outputs from `first` on, a multiple of the layout's outputs.
static inline Weights weights_from(Weights weights, std::int64_t first) {
  if (const BlockLayout* layout = weights.layout)
    weights.data += layout->bytes * std::size_t(first / layout->outputs * (weights.depth / layout->depth));
  else
    weights.data += weights.row * std::size_t(first);
  return weights;
}

/// Reads one block of 8 outputs from `first` on as small whole numbers: the one at depth `k`.
static inline void read_quants(const Weights& weights, std::int64_t first, std::int64_t k,
                               const ByteQuants::Target& to) {
  const ByteQuants& quants = *weights.quants;
  const std::int64_t block = k / quants.depth, blocks = weights.depth / quants.depth;
  const char* from =
      quants.interleaved
          ? weights.data + quants.bytes * std::size_t(first * blocks + kQuantRows * block)
          : weights.data + weights.row * std::size_t(first) + quants.bytes * std::size_t(block);
  quants.read(from, weights.row, to);
}

/// Reads the weights at depths k .. k + n of `count` outputs from `first` on into F32 rows that are `row`
/// numbers apart. k and n are multiples of the type's block, `first` and `count` of the layout's outputs. Not
/// for layouts by depth. Static: each source keeps its own copy, so that none compiled for one processor is
/// run on another.
static inline void read_rows(const Weights& weights, std::int64_t first, std::int64_t count, std::int64_t k,
                             std::int64_t n, float* to, std::int64_t row) {
  if (const BlockLayout* layout = weights.layout) {
    const std::int64_t blocks = weights.depth / layout->depth;
    for (std::int64_t o = 0; o < count; o += layout->outputs)
      for (std::int64_t d = 0; d < n; d += layout->depth)
        layout->read(weights.data + layout->bytes * std::size_t((first + o) / layout->outputs * blocks +
                                                                (k + d) / layout->depth),
                     weights.to_float, to + row * o + d, row);
    return;
  }
  for (std::int64_t o = 0; o < count; ++o) {
    const char* from = weights.data + weights.row * std::size_t(first + o) +
                       weights.row * std::size_t(k) / std::size_t(weights.depth);
    if (weights.to_float != nullptr)
      weights.to_float(from, to + row * o, n);
    else
      __builtin_memcpy(to + row * o, from, std::size_t(n) * sizeof(float));
  }
}

}  // namespace chunkkv::kernels
