#pragma once

#include "llama/tap.h"

#include <chunkkv/types.h>

#include <cstddef>
#include <map>
#include <span>

namespace chunkkv::engine {

/// Which types the rows of a state may have.
enum class StateTypes : std::uint8_t {
  own,  ///< those of the cache
  any   ///< each type that a cache can have
};

/// Goes through a sequence's state as the engine writes it, and through nothing but its frame: numbers of
/// cells and layers, types and sizes of rows, and `positions`, those of its cells in their order. The engine
/// trusts some of these and stops the program where they are wrong. Error that says what does not fit.
/// `layers`: of a cache over the same model. `extension`: see `cell_extension`. `states_follow`: windows or
/// states follow, which are not looked at.
void check_state(std::span<const std::byte> state, const std::map<std::int32_t, CacheLayer>& layers,
                 std::span<const Position> positions, StateTypes types, std::size_t extension,
                 bool states_follow);

}  // namespace chunkkv::engine
