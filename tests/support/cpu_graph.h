#pragma once

#include "llama/handles.h"
#include "unit/random_seed.h"

#include <cstdint>
#include <random>
#include <vector>

namespace chunkkv::test {

/// A graph on the CPU. The allocator puts results in the place of what nobody reads any more.
class CpuGraph {
 public:
  CpuGraph() {
    context_.reset(ggml_init({.mem_size = 64 * ggml_tensor_overhead() + ggml_graph_overhead(),
                              .mem_buffer = nullptr,
                              .no_alloc = true}));
    backend_.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    leaves_.reset(
        ggml_init({.mem_size = 16 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
  }
  ggml_context* ctx() { return context_.get(); }
  ggml_tensor* leaf(ggml_type type, std::int64_t n0, std::int64_t n1 = 1, std::int64_t n2 = 1) {
    return ggml_new_tensor_3d(leaves_.get(), type, n0, n1, n2);
  }
  /// To be called once all leaves and nodes exist.
  void build(ggml_tensor* result) {
    buffer_.reset(ggml_backend_alloc_ctx_tensors(leaves_.get(), backend_.get()));
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, result);
    allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend_.get())));
    ggml_gallocr_alloc_graph(allocator_.get(), graph_);
    result_ = result;
  }
  std::vector<float> compute() {
    ggml_backend_graph_compute(backend_.get(), graph_);
    std::vector<float> result(std::size_t(ggml_nelements(result_)));
    ggml_backend_tensor_get(result_, result.data(), 0, result.size() * sizeof(float));
    return result;
  }
  int count(ggml_op op) const {
    int n = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) n += ggml_graph_node(graph_, i)->op == op ? 1 : 0;
    return n;
  }
  template <class Do>
  void for_nodes(Do&& act) {
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) act(ggml_graph_node(graph_, i));
  }
  void set_random(ggml_tensor* t) {
    std::vector<float> values(std::size_t(ggml_nelements(t)));
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random_);
    std::vector<char> stored(ggml_nbytes(t));
    ggml_quantize_chunk(t->type, values.data(), stored.data(), 0, ggml_nrows(t), t->ne[0], nullptr);
    ggml_backend_tensor_set(t, stored.data(), 0, stored.size());
  }
  static void set_positions(ggml_tensor* t, std::int32_t first) {
    std::vector<std::int32_t> positions(std::size_t(t->ne[0]));
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = first + 3 * std::int32_t(i);
    ggml_backend_tensor_set(t, positions.data(), 0, positions.size() * sizeof(std::int32_t));
  }

 private:
  engine::BackendHandle backend_;
  engine::GgmlContext context_, leaves_;
  engine::BufferHandle buffer_;
  engine::AllocatorHandle allocator_;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor* result_ = nullptr;
  std::mt19937 random_{random_seed()};
};

}  // namespace chunkkv::test
