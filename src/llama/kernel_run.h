#pragma once

#include "llama/compute.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace chunkkv::engine {

/// One thread's work on a kernel: all threads take items from `next` (0 at first) until none is left. `own`
/// is the thread's own memory. Must not throw.
using ThreadWork = std::function<void(char* own, std::atomic<std::int64_t>& next)>;

/// Runs `work` on every thread of the pool, apart from the engine's graphs. The device of `tensor` must be
/// the CPU. Each thread gets `own_bytes` of memory, aligned to 64 bytes, which
/// keeps nothing from one run to the next.
void run_kernel(Compute& compute, const ggml_tensor* tensor, std::size_t own_bytes, const ThreadWork& work);

}  // namespace chunkkv::engine
