#include "llama/fast_attention.h"

#include <chunkkv/prompt_attention.h>

namespace chunkkv::engine {
namespace {

/// The number of queries from which on packing keys and values pays.
constexpr std::int64_t kManyQueries = 32;

// Whether `t` is a view of an F16 cache itself. A cast of a cache of another type is left to the engine.
bool is_half_cache(const ggml_tensor* t, std::int64_t depth) {
  return t->view_src != nullptr && t->view_src->op == GGML_OP_NONE && t->type == GGML_TYPE_F16 &&
         t->ne[0] == depth && t->ne[3] == 1 && t->nb[0] == sizeof(ggml_fp16_t) && in_host_memory(t);
}

bool is_plain_mask(const ggml_tensor* mask, std::int64_t n_queries, std::int64_t n_cells) {
  // The numbers of a mask that the graph computes are not known yet.
  return mask->type == GGML_TYPE_F16 && mask->op == GGML_OP_NONE && mask->view_src == nullptr &&
         mask->ne[0] == n_cells && mask->ne[1] == n_queries && mask->ne[2] == 1 && mask->ne[3] == 1 &&
         mask->nb[0] == sizeof(ggml_fp16_t) && in_host_memory(mask);
}

bool has_kernel(const ggml_tensor* node) {
  const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2];
  const ggml_tensor *mask = node->src[3], *sinks = node->src[4];
  const std::int64_t depth = q->ne[0];
  const float max_bias = op_float(node, 1);
  return q->type == GGML_TYPE_F32 && q->ne[3] == 1 && q->nb[0] == sizeof(float) && depth % 16 == 0 &&
         depth <= kernels::kMostAttentionDepth && is_half_cache(k, depth) && is_half_cache(v, depth) &&
         k->ne[1] == v->ne[1] && k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && max_bias == 0 &&
         mask != nullptr && is_plain_mask(mask, q->ne[1], k->ne[1]) && in_host_memory(q) &&
         in_host_memory(node) && node->type == GGML_TYPE_F32 && node->nb[0] == sizeof(float) &&
         (sinks == nullptr ||
          (sinks->type == GGML_TYPE_F32 && ggml_is_contiguous(sinks) && in_host_memory(sinks)));
}

kernels::AttentionTask attention_of(const ggml_tensor* node) {
  const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *sinks = node->src[4];
  return {.n_queries = q->ne[1],
          .n_cells = k->ne[1],
          .n_head = q->ne[2],
          .n_head_kv = k->ne[2],
          .depth = q->ne[0],
          .scale = op_float(node, 0),
          .softcap = op_float(node, 2),
          .q = static_cast<const char*>(q->data),
          .q_query = q->nb[1],
          .q_head = q->nb[2],
          .k = static_cast<const char*>(k->data),
          .v = static_cast<const char*>(v->data),
          .k_cell = k->nb[1],
          .k_head = k->nb[2],
          .v_cell = v->nb[1],
          .v_head = v->nb[2],
          .sinks = sinks == nullptr ? nullptr : static_cast<const float*>(sinks->data),
          .out = static_cast<char*>(node->data),
          .out_query = node->nb[2],
          .out_head = node->nb[1]};
}

}  // namespace

const kernels::AttentionKernel* FastAttention::kernel() {
  const auto& kernels = kernels::attention_kernels();
  return kernels.empty() || kernels::decode_attention_kernels().empty() ? nullptr : &kernels.front();
}

FastAttention::FastAttention(int n_threads)
    : kernel_(*kernel()),
      decode_kernel_(kernels::decode_attention_kernels().front()),
      thread_memory_(std::size_t(n_threads)) {}

const FastAttention::Mask& FastAttention::read(const ggml_tensor* tensor) {
  Mask& mask = masks_[tensor->data];
  if (mask.known) return mask;
  mask.usable =
      mask.visible.read(static_cast<const char*>(tensor->data), tensor->ne[1], tensor->ne[0], tensor->nb[1]);
  if (mask.usable && tensor->ne[1] < kManyQueries) mask.lists.read(mask.visible);
  mask.known = true;
  return mask;
}

void FastAttention::take(ggml_tensor* node, bool adds_up) {
  if (node->op != GGML_OP_FLASH_ATTN_EXT || !has_kernel(node)) return;
  const Mask& mask = read(node->src[3]);
  if (!mask.usable) return;
  if (n_calls_ == calls_.size()) calls_.emplace_back();
  Call& call = calls_[n_calls_];
  call.owner = this;
  call.node = node;
  call.task = attention_of(node);
  call.next = 0;
  if (call.task.n_queries < kManyQueries) {
    prepare_few(call, mask.lists);
    call.taken = TakenNode(node, Operation::custom(&compute_few, &call));
  } else {
    call.task.visible = mask.visible.words.data();
    call.task.seen_by_any = mask.visible.seen_by_any.data();
    prepare_many(call, adds_up);
    call.taken = TakenNode(node, Operation::custom(&compute_many, &call));
  }
  ++n_calls_;
}

void FastAttention::prepare_many(Call& call, bool adds_up) {
  kernels::AttentionTask& task = call.task;
  const int n_threads = int(thread_memory_.size());
  if (adds_up) {
    task.n_parts = kernel_.n_parts(task, n_threads);
    received_.resize(std::size_t(task.n_parts * task.n_head * task.n_cells));
    task.received = received_.data();
  }
  for (kernels::AlignedBlock& memory : thread_memory_) memory.reserve(kernel_.thread_bytes(task, n_threads));
  call.statistics.resize(std::size_t(2 * task.n_head * task.n_queries));
  task.statistics = call.statistics.data();
}

void FastAttention::prepare_few(Call& call, const kernels::CellLists& lists) {
  for (kernels::AlignedBlock& memory : thread_memory_) memory.reserve(decode_kernel_.thread_bytes(call.task));
  call.decode_task = kernels::DecodeAttentionTask(call.task, lists);
  part_sums_.reserve(kernels::PartSums::n_sums(call.decode_task) * sizeof(float));
  if (const std::size_t n = kernels::PartSums::n_done(call.decode_task); parts_done_.size() < n)
    parts_done_ = std::vector<std::atomic<std::int32_t>>(n);
}

void FastAttention::restore(const ggml_tensor* node) {
  for (std::size_t i = 0; i < n_calls_; ++i)
    if (calls_[i].node == node) calls_[i].taken.put_back();
}

void FastAttention::restore() {
  for (std::size_t i = 0; i < n_calls_; ++i) calls_[i].taken.put_back();
  n_calls_ = 0;
  received_ = {};  // these are many numbers, and few decodes want them
}

const kernels::AttentionTask* FastAttention::computed(const ggml_tensor* node) const {
  for (std::size_t i = n_calls_; i-- > 0;)
    if (calls_[i].node == node && calls_[i].task.statistics != nullptr) return &calls_[i].task;
  return nullptr;
}

std::span<const float> FastAttention::received(const kernels::AttentionTask& task) {
  if (task.received == nullptr) return {};
  const auto n = std::size_t(task.n_head * task.n_cells);
  for (std::int64_t part = 1; part < task.n_parts; ++part) {
    const float* more = received_.data() + std::size_t(part) * n;
    for (std::size_t i = 0; i < n; ++i) received_[i] += more[i];
  }
  return std::span<const float>(received_).first(n);
}

void FastAttention::forget_masks() {
  for (auto& [data, mask] : masks_) mask.known = false;
}

void FastAttention::compute_many(ggml_tensor*, int thread, int, void* data) {
  auto& call = *static_cast<Call*>(data);
  FastAttention& self = *call.owner;
  // Work is cut for thread_memory_.size() threads, so that items are the same however many threads the engine
  // gives us.
  self.kernel_.run(call.task, int(self.thread_memory_.size()), self.thread_memory_[std::size_t(thread)].get(),
                   call.next);
}

void FastAttention::compute_few(ggml_tensor*, int thread, int, void* data) {
  auto& call = *static_cast<Call*>(data);
  FastAttention& self = *call.owner;
  float* sums = static_cast<float*>(static_cast<void*>(self.part_sums_.get()));
  self.decode_kernel_.run(call.decode_task, {sums, self.parts_done_.data()},
                          self.thread_memory_[std::size_t(thread)].get(), call.next);
}

}  // namespace chunkkv::engine

namespace chunkkv {

std::string_view prompt_attention(const Model& model) {
  const kernels::AttentionKernel* kernel = engine::FastAttention::kernel();
  return model.fast_prefill() && kernel != nullptr ? kernel->name : "llama.cpp";
}

}  // namespace chunkkv
