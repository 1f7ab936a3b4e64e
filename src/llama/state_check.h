#pragma once

#include "llama/tap.h"

#include <chunkkv/types.h>

#include <cstddef>
#include <map>
#include <span>

namespace chunkkv::engine {

/// Types that the rows of a state may have.
enum class StateTypes : std::uint8_t {
  same_as_cache,  ///< only those of the cache
  any             ///< all types that a cache can have
};

/// Checks the frame of a sequence's state as the engine writes it: numbers of cells and layers, types and
/// sizes of rows, and the positions of the cells, which must be `positions` in this order. The rows' contents
/// are not checked. The engine trusts some of these numbers and stops the program where they are wrong. Error
/// that says what does not fit. `layers`: of a cache over the same model. `extension`: see `cell_extension`.
/// `states_follow`: windows or states follow the rows; they are not checked.
void check_state(std::span<const std::byte> state, const std::map<std::int32_t, CacheLayer>& layers,
                 std::span<const Position> positions, StateTypes types, std::size_t extension,
                 bool states_follow);

}  // namespace chunkkv::engine
