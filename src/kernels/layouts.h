#pragma once

#include "kernels/weights.h"

#include <string_view>

namespace chunkkv::kernels {

// The engine's own layouts of weights on x86. Types by the engine's names: "q4_K". Null for types that it
// does not keep so, and where no processor with such instructions is compiled for.

/// 8 rows together, buffer type "CPU_REPACK".
const BlockLayout* interleaved_layout(std::string_view type);
/// 16 outputs together, buffer type "AMX".
const BlockLayout* amx_layout(std::string_view type);

// Each is in a source compiled for the processors that use it.
extern const BlockLayout kInterleavedQ40, kInterleavedIq4Nl, kInterleavedMxfp4, kInterleavedQ2K,
    kInterleavedQ4K;
extern const BlockLayout kAmxQ40, kAmxQ41, kAmxQ80, kAmxQ4K, kAmxQ5K, kAmxQ6K;

}  // namespace chunkkv::kernels
