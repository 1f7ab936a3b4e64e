#pragma once

#include "llama/handles.h"
#include "llama/tap.h"

#include <cstddef>
#include <map>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// One sequence's state, as the engine writes it, with the keys and values of a cache of other types.
///
/// The engine turns the rows of quantised caches by a Walsh-Hadamard matrix where the head size allows
/// it (so that no dimension sticks out); rows are turned forth and back accordingly. `layers`: of a cache
/// over the same model, by layer number. `extension`: see
/// `cell_extension`. `states_follow`: states follow, which stay as they are. Error when the state is not of
/// such a cache.
std::vector<std::byte> convert_state(std::span<const std::byte> state,
                                     const std::map<std::int32_t, CacheLayer>& layers, ggml_type type_k,
                                     ggml_type type_v, std::size_t extension, bool states_follow);

}  // namespace chunkkv::engine
