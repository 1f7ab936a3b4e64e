#pragma once

#include "llama/compute.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace chunkkv::engine {

/// The share of one thread, with memory of its own: all take items from `next` (0 at first) until none is
/// left. Must not throw.
using KernelShare = std::function<void(char* own, std::atomic<std::int64_t>& next)>;

/// Runs a kernel of ours, beside the engine's graphs, on the threads of the device that holds `tensor`: a
/// CPU. Each has `own_bytes` of memory, aligned to 64 bytes.
void run_kernel(Compute& compute, const ggml_tensor* tensor, std::size_t own_bytes, const KernelShare& share);

}  // namespace chunkkv::engine
