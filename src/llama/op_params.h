#pragma once

#include "llama/handles.h"

#include <cstddef>
#include <cstring>

namespace chunkkv::engine {

/// Parameter `index` of an operation, which must be a float.
inline float op_float(const ggml_tensor* node, int index) {
  float value = 0;
  std::memcpy(&value, node->op_params + index, sizeof value);
  return value;
}

}  // namespace chunkkv::engine
