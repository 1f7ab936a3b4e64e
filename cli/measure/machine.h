#pragma once

#include "results/identity.h"

#include <chunkkv/model.h>

#include <cstdint>

namespace chunkkv::cli {

/// The origin of a run's lines, with the machine and its GPUs unless `gpu_layers` is 0; its seed is left
/// empty.
results::Origin origin_of(const Model& model, std::int32_t n_threads, std::int32_t gpu_layers);

/// Peak memory of this process in bytes, since its start or the last `reset_peak_memory` that worked.
std::uint64_t peak_memory();
/// Lets the peak start anew from the memory in use now. False when the system does not allow it.
bool reset_peak_memory();
/// Bytes in use on all GPUs together, by any program; 0 without a GPU.
std::uint64_t gpu_memory();

}  // namespace chunkkv::cli
