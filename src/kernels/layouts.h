#pragma once

#include "kernels/weights.h"

#include <string_view>

namespace chunkkv::kernels {

// The engine's own layouts of weights on x86. Types have the engine's names, such as "q4_K". Null for types
// that the engine does not keep in that layout, and if the library is built without the instructions for it.

/// The layout of 8 rows together: buffer type "CPU_REPACK".
const BlockLayout* interleaved_layout(std::string_view type);
/// The layout of 16 outputs together: buffer type "AMX".
const BlockLayout* amx_layout(std::string_view type);

// Each is in a source compiled for the processors that use it.
extern const BlockLayout kInterleavedQ40, kInterleavedIq4Nl, kInterleavedMxfp4, kInterleavedQ2K,
    kInterleavedQ4K;
extern const BlockLayout kAmxQ40, kAmxQ41, kAmxQ80, kAmxQ4K, kAmxQ5K, kAmxQ6K, kAmxIq4Xs;

}  // namespace chunkkv::kernels
