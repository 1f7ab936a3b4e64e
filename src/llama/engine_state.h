#pragma once

#include <chunkkv/types.h>

#include "llama/cache_layers.h"

#include <cstddef>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// What the states of a context's sequences, in the engine's own format, look like.
struct StateFormat {
  const std::vector<CacheLayer>& layers;  ///< of a cache over the same model
  std::size_t extension = 0;              ///< see `cell_extension`
  bool states_follow = false;             ///< windows or states follow the rows
};

/// The pieces of a state, in their order.
struct StatePieces {
  struct Rows {
    ggml_type type = GGML_TYPE_F32;
    std::span<const std::byte> bytes = {};  ///< the row of one cell after the other
  };
  std::span<const std::byte> frame;  ///< all that is before the rows
  std::vector<Rows> keys, values;    ///< by layer; values are empty where they are part of the keys
  std::span<const std::byte> rest;   ///< windows and states
};

/// Types that the rows of a state may have.
enum class StateTypes : std::uint8_t {
  same_as_cache,  ///< only those of the cache
  any             ///< all types that a cache can have
};

/// Checks the frame of a sequence's state as the engine writes it: numbers of cells and layers, types and
/// sizes of rows, and the positions of the cells, which must be `positions` in this order. The contents of
/// rows, windows and states are not checked. The engine trusts some of these numbers and stops the program
/// where they are wrong. Error that says what does not fit.
StatePieces check_state(std::span<const std::byte> state, const StateFormat& format,
                        std::span<const Position> positions, StateTypes types);

/// Returns a state with keys and values of the types given, of one from a cache with flash attention.
///
/// The engine multiplies the rows of quantised caches by a Walsh-Hadamard matrix where the head size allows
/// it, so that no dimension is an outlier; this is undone and done again here as the types require.
std::vector<std::byte> convert_state(const StatePieces& state, const std::vector<CacheLayer>& layers,
                                     ggml_type type_k, ggml_type type_v);

}  // namespace chunkkv::engine
