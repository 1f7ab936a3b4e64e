#pragma once

#include <cstddef>

namespace chunkkv::kernels {
namespace {

/// Hands out a thread's memory, part by part, aligned to 64 bytes; if `own` is null it only counts the bytes.
struct MemoryParts {
  char* own;
  std::size_t bytes = 0;

  char* take(std::size_t n) {
    char* const part = own == nullptr ? nullptr : own + bytes;
    bytes += (n + 63) / 64 * 64;
    return part;
  }
  float* take_floats(std::size_t n) { return take_array<float>(n); }
  template <class T>
  T* take_array(std::size_t n) {
    return static_cast<T*>(static_cast<void*>(take(n * sizeof(T))));
  }
};

}  // namespace
}  // namespace chunkkv::kernels
