#pragma once

#include "llama/handles.h"
#include "llama/tap.h"

#include <cstddef>
#include <map>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Returns one sequence's state, as the engine writes it, with keys and values of the types given.
///
/// The engine multiplies the rows of quantised caches by a Walsh-Hadamard matrix where the head size allows
/// it, so that no dimension is an outlier; this is undone and done again here as the types require. `layers`:
/// of a cache over the same model, by layer number. `extension`: see `cell_extension`. `states_follow`:
/// recurrent states follow the rows, and are copied unchanged. Error when the state is not of such a cache.
std::vector<std::byte> convert_state(std::span<const std::byte> state,
                                     const std::map<std::int32_t, CacheLayer>& layers, ggml_type type_k,
                                     ggml_type type_v, std::size_t extension, bool states_follow);

}  // namespace chunkkv::engine
