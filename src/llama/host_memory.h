#pragma once

#include "llama/handles.h"

namespace chunkkv::engine {

/// Whether a tensor's data lies where our kernels can read and write it. False before it is allocated.
inline bool in_host_memory(const ggml_tensor* t) {
  const ggml_backend_buffer_t buffer = t->view_src != nullptr ? t->view_src->buffer : t->buffer;
  return buffer != nullptr && ggml_backend_buffer_is_host(buffer);
}

}  // namespace chunkkv::engine
