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
extern const BlockLayout interleaved_q4_0, interleaved_iq4_nl, interleaved_mxfp4, interleaved_q2_k,
    interleaved_q4_k;
extern const BlockLayout amx_q4_0, amx_q4_1, amx_q8_0, amx_q4_k, amx_q5_k, amx_q6_k;

}  // namespace chunkkv::kernels
