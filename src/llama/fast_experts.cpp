#include "llama/fast_experts.h"

#include "kernels/choice.h"
#include "kernels/expert_product.h"
#include "llama/weight_source.h"

#include <optional>

namespace chunkkv::engine {
namespace {

constexpr double kUsualTokens = 512;  // of a micro-batch

/// Whether our kernels can compute this product, apart from the type and layout of its weights.
bool is_plain_expert_product(const ggml_tensor* node) {
  const ggml_tensor *w = node->src[0], *x = node->src[1], *experts = node->src[2];
  return x->type == GGML_TYPE_F32 && node->type == GGML_TYPE_F32 && experts->type == GGML_TYPE_I32 &&
         ggml_n_dims(w) <= 3 && ggml_is_contiguous(w) && x->nb[0] == sizeof(float) &&
         node->nb[0] == sizeof(float) && experts->nb[0] == sizeof(std::int32_t) && x->ne[3] == 1 &&
         (x->ne[1] == 1 || x->ne[1] == experts->ne[0]) && node->op_params[0] == GGML_PREC_DEFAULT &&
         in_host_memory(x) && in_host_memory(node) && in_host_memory(experts);
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

}  // namespace

const kernels::ProductKernel* expert_kernel(const ggml_tensor* product) {
  const ggml_tensor *w = product->src[0], *experts = product->src[2];
  const auto source = source_of(w);
  if (!source) return nullptr;
  const kernels::WeightShape shape{.type = ggml_type_name(w->type), .n_out = w->ne[1], .depth = w->ne[0]};
  const double tokens = kUsualTokens * double(experts->ne[0]) / double(w->ne[2]);
  return kernel_for(*source, best_expert_product(machine(), shape, layout_of(w), tokens));
}

FastExperts::FastExperts(int n_threads)
    : ours_(Operation::custom(&compute, this)), thread_memory_(std::size_t(n_threads)) {}

void FastExperts::take(ggml_tensor* node) {
  if (node->op != GGML_OP_MUL_MAT_ID || node->src[2]->ne[1] < kFewestTokens || !is_plain_expert_product(node))
    return;
  const kernels::ProductKernel* kernel = expert_kernel(node);
  if (kernel == nullptr) return;
  const auto task = expert_task_of(node);
  if (!task) return;
  shared_memory_.reserve(kernels::shared_bytes(*kernel, *task));
  for (kernels::AlignedBlock& memory : thread_memory_) memory.reserve(kernels::thread_bytes(*kernel, *task));
  taken_.emplace_back(node, Operation::of(node));
  ours_.put_into(node);
}

void FastExperts::restore() {
  for (const auto& [node, engines] : taken_) engines.put_into(node);
  taken_.clear();
}

void FastExperts::compute(ggml_tensor* node, int thread, int n_threads, void* self) {
  auto& experts = *static_cast<FastExperts*>(self);
  kernels::run_experts(*expert_kernel(node), *expert_task_of(node), thread, n_threads,
                       experts.shared_memory_.get(), experts.thread_memory_[std::size_t(thread)].get(),
                       experts.team_);
}

}  // namespace chunkkv::engine
