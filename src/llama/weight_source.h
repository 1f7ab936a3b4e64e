#pragma once

#include "kernels/choice.h"
#include "kernels/weights.h"
#include "llama/handles.h"

#include <optional>
#include <vector>

namespace chunkkv::engine {

/// The processor, and the layouts that the engine makes on it.
const kernels::Machine& machine();

/// The CPU's buffer types for weights: plain memory, and those that lay weights out anew.
std::vector<ggml_backend_buffer_type_t> weight_buffer_types();

/// Where a matrix of weights lies.
kernels::Layout layout_of(const ggml_tensor* weights);

/// How to read a matrix of weights that lies in host memory. None where its layout is not one that we read:
/// each is tried once, on weights of our own, before any is read.
std::optional<kernels::Weights> source_of(const ggml_tensor* weights);

}  // namespace chunkkv::engine
