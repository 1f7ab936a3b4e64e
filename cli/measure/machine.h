#pragma once

#include "results/identity.h"

#include <chunkkv/model.h>
#include <chunkkv/model_identity.h>

#include <cstdint>
#include <string>

namespace chunkkv::cli {

/// What figures were measured on: "x86_64, 2 threads, Intel(R) Xeon(R) ...", with the GPU unless `gpu_layers`
/// is 0.
std::string machine(std::int32_t n_threads, std::int32_t gpu_layers);
/// Where the lines of a run come from; without a seed.
results::Origin origin_of(const Model& model, const ModelIdentity& identity, std::int32_t n_threads,
                          std::int32_t gpu_layers);

/// The most memory this process has used so far, since `reset_peak_memory` where that worked.
std::uint64_t peak_memory();
/// True when the system lets the peak start anew from what is used now.
bool reset_peak_memory();
/// Memory in use on all GPUs together, by whatever program; 0 without one.
std::uint64_t gpu_memory();

}  // namespace chunkkv::cli
