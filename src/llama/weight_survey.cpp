#include "llama/weight_survey.h"

#include "llama/fast_products.h"
#include "llama/weight_source.h"

#include <algorithm>

namespace chunkkv::engine {

void WeightSurvey::add(const ggml_tensor* product, bool ours) {
  const ggml_tensor* weights = product->src[0];
  if (weights->buffer == nullptr ||
      ggml_backend_buffer_get_usage(weights->buffer) != GGML_BACKEND_BUFFER_USAGE_WEIGHTS ||
      !seen_.insert(weights).second)
    return;
  const kernels::ProductKernel* kernel = ours ? prompt_kernel(product) : nullptr;
  WeightUse use{.type = ggml_type_name(weights->type),
                .layout = std::string(kernels::to_string(layout_of(weights))),
                .product = kernel != nullptr ? kernel->name : "llama.cpp"};
  auto it = std::find_if(uses_.begin(), uses_.end(), [&](const WeightUse& u) {
    return u.type == use.type && u.layout == use.layout && u.product == use.product;
  });
  if (it == uses_.end()) it = uses_.insert(uses_.end(), use);
  ++it->n_matrices;
  it->n_bytes += ggml_nbytes(weights);
}

}  // namespace chunkkv::engine
