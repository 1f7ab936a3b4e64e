#pragma once

#include "kernels/choice.h"
#include "kernels/product.h"
#include "kernels/weights.h"
#include "llama/handles.h"

#include <optional>
#include <vector>

namespace chunkkv::engine {

/// What this processor can do, and which layouts the engine makes on it.
const kernels::Machine& machine();

/// The CPU's buffer types for weights: plain memory first, then those that store weights in another layout.
std::vector<ggml_backend_buffer_type_t> weight_buffer_types();

/// The layout of a matrix of weights; Layout::other where it has no memory yet.
kernels::Layout layout_of(const ggml_tensor* weights);

/// How to read a matrix of weights that lies in host memory; nullopt where we cannot read its layout. Before
/// the first matrix is read, each layout is tried with each type on sample weights.
std::optional<kernels::Weights> source_of(const ggml_tensor* weights);

/// The kernel with this arithmetic, or one nearly as fast if it cannot read the weights; null: the engine's.
const kernels::ProductKernel* kernel_for(const kernels::Weights& weights, kernels::Arithmetic arithmetic);

}  // namespace chunkkv::engine
