#pragma once

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include <memory>

/// Owning handles of engine objects.
namespace chunkkv::engine {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};

using ContextHandle = std::unique_ptr<llama_context, Deleter<llama_free>>;
using GgmlContext = std::unique_ptr<ggml_context, Deleter<ggml_free>>;
using BackendHandle = std::unique_ptr<ggml_backend, Deleter<ggml_backend_free>>;
using BufferHandle = std::unique_ptr<ggml_backend_buffer, Deleter<ggml_backend_buffer_free>>;
using AllocatorHandle = std::unique_ptr<ggml_gallocr, Deleter<ggml_gallocr_free>>;

}  // namespace chunkkv::engine
