#include "llama/fast_products.h"

#include "kernels/choice.h"
#include "kernels/expert_product.h"
#include "llama/weight_source.h"

#include <optional>

namespace chunkkv::engine {
namespace {

constexpr std::int64_t kUsualTokens = 512;  // of a micro-batch
// Where ggml_prec_set_acc and ggml_prec_set_src put what a model asks of sums and of tokens' numbers.
constexpr int kPrecisionOfSums = 0, kPrecisionOfTokens = 3;

/// Whether our kernels can compute this product, apart from the type and layout of its weights.
bool is_plain_product(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1];
  return x->type == GGML_TYPE_F32 && node->type == GGML_TYPE_F32 && ggml_n_dims(w) == 2 &&
         ggml_n_dims(x) <= 2 && ggml_is_contiguous(w) && x->nb[0] == sizeof(float) &&
         node->nb[0] == sizeof(float) && in_host_memory(x) && in_host_memory(node);
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

/// Whether our kernels can compute this product, apart from the type and layout of its weights.
bool is_plain_expert_product(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1], *experts = node->src[2];
  return x->type == GGML_TYPE_F32 && node->type == GGML_TYPE_F32 && experts->type == GGML_TYPE_I32 &&
         ggml_n_dims(w) <= 3 && ggml_is_contiguous(w) && x->nb[0] == sizeof(float) &&
         node->nb[0] == sizeof(float) && experts->nb[0] == sizeof(std::int32_t) && x->ne[3] == 1 &&
         (x->ne[1] == 1 || x->ne[1] == experts->ne[0]) && in_host_memory(x) && in_host_memory(node) &&
         in_host_memory(experts);
}

std::optional<kernels::ExpertTask> expert_task_of(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1], *experts = node->src[2];
  const auto weights = source_of(w);
  if (!weights) return std::nullopt;
  return kernels::ExpertTask{.n_tokens = experts->ne[1],
                             .n_slots = experts->ne[0],
                             .n_experts = w->ne[2],
                             .n_out = w->ne[1],
                             .weights = *weights,
                             .expert_bytes = w->nb[2],
                             .experts = static_cast<const char*>(experts->data),
                             .experts_row = experts->nb[1],
                             .x = static_cast<const char*>(x->data),
                             .x_token = x->nb[2],
                             .x_slot = x->ne[1] == 1 ? 0 : x->nb[1],
                             .out = static_cast<char*>(node->data),
                             .out_token = node->nb[2],
                             .out_slot = node->nb[1]};
}

/// Whether our kernels can compute this operation, apart from the type and layout of its weights.
bool is_our_product(const ggml_tensor* node) {
  return (node->op == GGML_OP_MUL_MAT && is_plain_product(node)) ||
         (node->op == GGML_OP_MUL_MAT_ID && is_plain_expert_product(node));
}

std::int64_t n_tokens_of(const ggml_tensor* product) {
  const ggml_tensor* experts = product->src[2];
  return experts != nullptr ? experts->ne[1] : product->src[1]->ne[1];
}

/// The kernel that a product's weights ask for, with so many tokens.
const kernels::ProductKernel* kernel_of(const ggml_tensor* product, std::int64_t n_tokens) {
  const ggml_tensor *w = product->src[0], *experts = product->src[2];
  if (experts == nullptr && ggml_n_dims(w) != 2) return nullptr;
  const auto source = source_of(w);
  if (!source) return nullptr;
  const kernels::WeightShape shape{.type = ggml_type_name(w->type), .n_out = w->ne[1], .depth = w->ne[0]};
  // The tokens that each of the experts gets, in the mean.
  const double rows =
      experts != nullptr ? double(n_tokens * experts->ne[0]) / double(w->ne[2]) : double(n_tokens);
  const kernels::Arithmetic wanted = experts != nullptr
                                         ? best_expert_product(machine(), shape, layout_of(w), rows)
                                         : best_product(machine(), shape, layout_of(w), n_tokens);
  const kernels::ProductKernel* kernel = kernel_for(*source, wanted);
  const bool is_other = kernel != nullptr && kernel->arithmetic != wanted;  // which is good for many tokens
  return is_other && rows < double(kernels::kManyTokens) ? nullptr : kernel;
}

/// The same for an operation of the engine's.
const kernels::ProductKernel* engines_kernel(const ggml_tensor* product, std::int64_t n_tokens) {
  const kernels::ProductKernel* kernel = kernel_of(product, n_tokens);
  const bool asks_for_more = product->op_params[kPrecisionOfSums] != GGML_PREC_DEFAULT ||
                             product->op_params[kPrecisionOfTokens] != GGML_PREC_DEFAULT;
  const bool is_f16 = kernel != nullptr && kernel->arithmetic == kernels::Arithmetic::f16_avx512;
  return is_f16 && asks_for_more ? nullptr : kernel;
}

}  // namespace

const kernels::ProductKernel* prompt_kernel(const ggml_tensor* product) {
  return engines_kernel(product, kUsualTokens);
}

bool FastProducts::available() {
  // A library for products (BLAS), which the engine may be built with, takes their nodes as they are.
  return !kernels::product_kernels().empty() &&
         ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_ACCEL) == nullptr;
}

FastProducts::FastProducts(int n_threads)
    : ours_(Operation::custom(&compute<false>, this)),
      of_packed_(Operation::custom(&compute<true>, this)),
      thread_memory_(std::size_t(n_threads)) {}

void FastProducts::take(ggml_tensor* node) {
  if (!is_our_product(node) || n_tokens_of(node) < kernels::kFewestTokens) return;
  const kernels::ProductKernel* kernel = engines_kernel(node, n_tokens_of(node));
  if (kernel == nullptr) return;
  if (node->src[2] != nullptr)
    take_experts(node, *kernel);
  else
    take(node, *kernel);
}

void FastProducts::take(ggml_tensor* node, const kernels::ProductKernel& kernel) {
  const auto task = task_of(node);
  if (!task) return;
  reserve(kernel.shared_bytes(*task), kernel.thread_bytes(*task));
  Packed packed{.x = node->src[1], .kernel = &kernel};
  if (kernel.arithmetic == kernels::Arithmetic::bytes) {
    packed.offset = task->weights.quants->offset;
    packed.part = task->weights.quants->part;
  }
  // An input of the graph, or a view of other memory, may change unseen.
  const bool may_change = packed.x->op == GGML_OP_NONE || packed.x->view_src != nullptr;
  const bool is_packed = packed == packed_ && !may_change;
  taken_.emplace_back(node, is_packed ? of_packed_ : ours_);
  packed_ = packed;
}

void FastProducts::take_experts(ggml_tensor* node, const kernels::ProductKernel& kernel) {
  const auto task = expert_task_of(node);
  if (!task) return;
  reserve(kernels::shared_bytes(kernel, *task), kernels::thread_bytes(kernel, *task));
  taken_.emplace_back(node, ours_);
  packed_ = {};
}

void FastProducts::reserve(std::size_t shared, std::size_t own) {
  for (kernels::AlignedBlock& memory : thread_memory_) memory.reserve(own);
  if (!shared_memory_.reserve(shared)) return;
  // Nodes that are not computed yet find nothing there.
  packed_ = {};
  for (TakenNode& node : taken_) node.change(ours_);
}

void FastProducts::restore() {
  for (TakenNode& node : taken_) node.put_back();
  taken_.clear();
  packed_ = {};
}

template <bool IsPacked>
void FastProducts::compute(ggml_tensor* node, int thread, int n_threads, void* self) {
  auto& products = *static_cast<FastProducts*>(self);
  const kernels::ProductKernel& kernel = *kernel_of(node, n_tokens_of(node));
  char* const shared = products.shared_memory_.get();
  char* const own = products.thread_memory_[std::size_t(thread)].get();
  if (node->src[2] != nullptr) {
    kernels::run_experts(kernel, *expert_task_of(node), thread, n_threads, shared, own, products.team_);
  } else {
    kernels::ProductTask task = *task_of(node);
    task.is_packed = IsPacked;
    kernel.run(task, thread, n_threads, shared, own, products.team_);
  }
}

}  // namespace chunkkv::engine
