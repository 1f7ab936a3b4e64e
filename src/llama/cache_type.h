#pragma once

#include <chunkkv/cache.h>

#include "llama/handles.h"

#include <array>

namespace chunkkv::engine {

/// The types that a cache can have, in the order of CacheType.
inline constexpr std::array kCacheTypes = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                           GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                           GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_IQ4_NL};

/// UsageError for a number that is no CacheType.
ggml_type engine_type(CacheType type);

}  // namespace chunkkv::engine
