#pragma once

#include <ggml-backend.h>

namespace chunkkv::test {

/// Whether the engine was built for a GPU and finds one. It then computes products in F16 or with 8 bits.
inline bool has_gpu() {
  ggml_backend_load_all();
  return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr;
}

}  // namespace chunkkv::test
