#include "llama/fast_products.h"

#include "llama/weight_source.h"

#include <optional>

namespace chunkkv::engine {
namespace {

/// Whether our kernels can compute this product, apart from the type and layout of its weights.
bool is_plain_product(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1];
  return x->type == GGML_TYPE_F32 && node->type == GGML_TYPE_F32 && ggml_n_dims(w) == 2 &&
         ggml_n_dims(x) <= 2 && ggml_is_contiguous(w) && x->nb[0] == sizeof(float) &&
         node->nb[0] == sizeof(float) && node->op_params[0] == GGML_PREC_DEFAULT && in_host_memory(x) &&
         in_host_memory(node);
}

std::optional<kernels::ProductTask> task_of(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1];
  const auto weights = source_of(w);
  if (!weights) return std::nullopt;
  return kernels::ProductTask{.n_tokens = x->ne[1],
                              .n_out = w->ne[1],
                              .weights = *weights,
                              .x = static_cast<const char*>(x->data),
                              .x_row = x->nb[1],
                              .out = static_cast<char*>(node->data),
                              .out_row = node->nb[1]};
}

}  // namespace

const kernels::ProductKernel* prompt_kernel(const ggml_tensor* product) {
  const ggml_tensor* w = product->src[0];
  if (ggml_n_dims(w) != 2) return nullptr;
  const auto source = source_of(w);
  if (!source) return nullptr;
  const kernels::WeightShape shape{.type = ggml_type_name(w->type), .n_out = w->ne[1], .depth = w->ne[0]};
  return kernel_for(*source, best_product(machine(), shape, layout_of(w)));
}

bool FastProducts::available() {
  return !kernels::product_kernels().empty();
}

FastProducts::FastProducts(int n_threads)
    : ours_(Operation::custom(&compute, this)), thread_memory_(std::size_t(n_threads)) {}

void FastProducts::take(ggml_tensor* node) {
  if (node->op != GGML_OP_MUL_MAT || node->src[1]->ne[1] < kFewestTokens || !is_plain_product(node)) return;
  const kernels::ProductKernel* kernel = prompt_kernel(node);
  if (kernel == nullptr) return;
  const auto task = task_of(node);
  if (!task) return;
  shared_memory_.reserve(kernel->shared_bytes(*task));
  for (kernels::AlignedBlock& memory : thread_memory_) memory.reserve(kernel->thread_bytes(*task));
  taken_.emplace_back(node, Operation::of(node));
  ours_.put_into(node);
}

void FastProducts::restore() {
  for (const auto& [node, engines] : taken_) engines.put_into(node);
  taken_.clear();
}

void FastProducts::compute(ggml_tensor* node, int thread, int n_threads, void* self) {
  auto& products = *static_cast<FastProducts*>(self);
  prompt_kernel(node)->run(*task_of(node), thread, n_threads, products.shared_memory_.get(),
                           products.thread_memory_[std::size_t(thread)].get(), products.team_);
}

}  // namespace chunkkv::engine
