#pragma once

#include "results/identity.h"

#include <chunkkv/model.h>
#include <chunkkv/model_identity.h>

#include <cstdint>
#include <string>

namespace chunkkv::cli {

/// The machine that figures are measured on: "x86_64, 2 threads, Intel(R) Xeon(R) ...", with its GPUs unless
/// `gpu_layers` is 0.
std::string machine(std::int32_t n_threads, std::int32_t gpu_layers);
/// The origin of a run's lines; its seed is left empty.
results::Origin origin_of(const Model& model, const ModelIdentity& identity, std::int32_t n_threads,
                          std::int32_t gpu_layers);

/// Peak memory of this process in bytes, since its start or the last `reset_peak_memory` that worked.
std::uint64_t peak_memory();
/// Lets the peak start anew from the memory in use now. False when the system does not allow it.
bool reset_peak_memory();
/// Bytes in use on all GPUs together, by any program; 0 without a GPU.
std::uint64_t gpu_memory();

}  // namespace chunkkv::cli
