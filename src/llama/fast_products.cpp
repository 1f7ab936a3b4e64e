#include "llama/fast_products.h"

#include <chunkkv/error.h>

#include "kernels/product.h"

#include <cstring>
#include <new>

namespace chunkkv::engine {
namespace {

// Fewer tokens do not pay for unpacking the weights. The engine's attention has its own change of path here
// too, so that a prompt is cut in one place for both (session/reading.cpp).
constexpr std::int64_t fewest_tokens = 64;

bool in_host_memory(const ggml_tensor* t) {
  const ggml_backend_buffer_t buffer = t->view_src != nullptr ? t->view_src->buffer : t->buffer;
  return buffer != nullptr && ggml_backend_buffer_is_host(buffer);
}

/// F32 weights stay as exact as they are. Weights that the engine has laid out anew have an `extra`.
bool has_kernel(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1];
  return x->ne[1] >= fewest_tokens && w->type != GGML_TYPE_F32 && ggml_get_type_traits(w->type)->to_float &&
         w->extra == nullptr && x->type == GGML_TYPE_F32 && node->type == GGML_TYPE_F32 &&
         w->ne[0] % kernels::product_depth == 0 && w->ne[1] % kernels::product_outputs == 0 &&
         ggml_n_dims(w) == 2 && ggml_n_dims(x) <= 2 && ggml_is_contiguous(w) && x->nb[0] == sizeof(float) &&
         node->nb[0] == sizeof(float) && node->op_params[0] == GGML_PREC_DEFAULT && in_host_memory(w) &&
         in_host_memory(x) && in_host_memory(node);
}

kernels::ProductTask task_of(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1];
  return {.n_tokens = x->ne[1],
          .n_out = w->ne[1],
          .depth = w->ne[0],
          .weights = static_cast<const char*>(w->data),
          .weights_row = w->nb[1],
          .to_float = ggml_get_type_traits(w->type)->to_float,
          .x = static_cast<const char*>(x->data),
          .x_row = x->nb[1],
          .out = static_cast<char*>(node->data),
          .out_row = node->nb[1]};
}

}  // namespace

bool FastProducts::available() {
  return kernels::has_fast_product();
}

FastProducts::FastProducts(int n_threads) : own_(std::size_t(n_threads)) {
  const ggml_init_params params{
      .mem_size = 4 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true};
  const GgmlContext context(ggml_init(params));
  if (!context) throw Error("out of memory");
  ggml_tensor* any = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 1);
  const ggml_tensor* custom =
      ggml_custom_4d(context.get(), GGML_TYPE_F32, 1, 1, 1, 1, &any, 1, &compute, GGML_N_TASKS_MAX, this);
  std::memcpy(parameters_, custom->op_params, sizeof parameters_);
}

void FastProducts::Block::reserve(std::size_t n) {
  if (n <= size) return;
  memory.reset();
  size = 0;  // also if there is no more memory
  memory.reset(static_cast<char*>(::operator new[](n, std::align_val_t(64))));
  size = n;
}

void FastProducts::take(ggml_tensor* node) {
  if (node->op != GGML_OP_MUL_MAT || !has_kernel(node)) return;
  const kernels::ProductTask task = task_of(node);
  shared_.reserve(kernels::product_shared_bytes(task));
  for (Block& own : own_) own.reserve(kernels::product_thread_bytes(task));
  Taken taken{.node = node, .parameters = {}};
  std::memcpy(taken.parameters, node->op_params, sizeof taken.parameters);
  taken_.push_back(taken);
  node->op = GGML_OP_CUSTOM;
  std::memcpy(node->op_params, parameters_, sizeof parameters_);
}

void FastProducts::give_back() {
  for (const Taken& taken : taken_) {
    taken.node->op = GGML_OP_MUL_MAT;
    std::memcpy(taken.node->op_params, taken.parameters, sizeof taken.parameters);
  }
  taken_.clear();
}

void FastProducts::compute(ggml_tensor* node, int thread, int n_threads, void* self) {
  auto& products = *static_cast<FastProducts*>(self);
  kernels::product(task_of(node), thread, n_threads, products.shared_.memory.get(),
                   products.own_[std::size_t(thread)].memory.get(), products.arrived_);
}

}  // namespace chunkkv::engine
