// Measures products of tokens with experts of every type that mixtures come in: the engine's and ours, in
// GFLOPS of one thread by CPU time.
#include "kernels/expert_product.h"
#include "llama/fast_products.h"
#include "llama/handles.h"
#include "llama/weight_source.h"
#include "random_numbers.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace chunkkv::engine {
namespace {

constexpr std::int64_t kNOut = 768, kDepth = 2048;

struct Shape {
  std::int64_t n_experts, n_used, n_tokens;
};

/// The product as an operation of the engine. All experts have the same weights, in memory of their own.
class Experts {
 public:
  Experts(ggml_type type, ggml_backend_buffer_type_t layout, Shape shape)
      : backend_(ggml_backend_cpu_init()),
        context_(ggml_init({.mem_size = 8 * ggml_tensor_overhead() + ggml_graph_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true})) {
    ggml_backend_cpu_set_n_threads(backend_.get(), 1);
    ggml_tensor* weights = ggml_new_tensor_3d(context_.get(), type, kDepth, kNOut, shape.n_experts);
    ggml_tensor* x = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, kDepth, 1, shape.n_tokens);
    ggml_tensor* used = ggml_new_tensor_2d(context_.get(), GGML_TYPE_I32, shape.n_used, shape.n_tokens);
    product_ = ggml_mul_mat_id(context_.get(), weights, x, used);
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, product_);
    weights_buffer_.reset(
        ggml_backend_buft_alloc_buffer(layout, ggml_backend_buft_get_alloc_size(layout, weights)));
    ggml_backend_tensor_alloc(weights_buffer_.get(), weights,
                              ggml_backend_buffer_get_base(weights_buffer_.get()));
    const bool plain = layout == ggml_backend_cpu_buffer_type();
    possible_ = ggml_backend_supports_op(backend_.get(), product_) && (plain || weights->extra != nullptr);
    if (!possible_) return;
    std::vector<char> data(ggml_nbytes(weights));
    const std::size_t bytes = data.size() / std::size_t(shape.n_experts);
    ggml_quantize_chunk(type, random_numbers(std::size_t(kNOut * kDepth)).data(), data.data(), 0, kNOut,
                        kDepth, nullptr);
    for (std::size_t at = bytes; at < data.size(); at += bytes)
      std::copy_n(data.begin(), bytes, data.begin() + std::ptrdiff_t(at));
    ggml_backend_tensor_set(weights, data.data(), 0, data.size());
    rest_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_buffer_type()));
    ggml_backend_tensor_set(x, random_numbers(std::size_t(shape.n_tokens * kDepth)).data(), 0,
                            ggml_nbytes(x));
    std::mt19937 random(1);
    std::vector<std::int32_t> all(std::size_t(shape.n_experts)), chosen;
    for (std::size_t e = 0; e < all.size(); ++e) all[e] = std::int32_t(e);
    for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
      std::shuffle(all.begin(), all.end(), random);
      chosen.insert(chosen.end(), all.begin(), all.begin() + shape.n_used);
    }
    ggml_backend_tensor_set(used, chosen.data(), 0, ggml_nbytes(used));
  }

  bool possible() const { return possible_; }
  ggml_tensor* product() const { return product_; }
  void compute() { ggml_backend_graph_compute(backend_.get(), graph_); }

 private:
  BackendHandle backend_;
  GgmlContext context_;
  BufferHandle weights_buffer_, rest_;
  ggml_tensor* product_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  bool possible_ = false;
};

void run(benchmark::State& state, ggml_type type, ggml_backend_buffer_type_t layout, bool ours) {
  const Shape shape{state.range(0), state.range(1), state.range(2)};
  Experts experts(type, layout, shape);
  if (!experts.possible()) return state.SkipWithError("not in this layout");
  FastProducts fast(1);
  if (ours) {
    fast.take(experts.product());
    if (experts.product()->op != GGML_OP_CUSTOM) return state.SkipWithError("left to the engine");
  }
  for ([[maybe_unused]] auto _ : state) experts.compute();
  fast.restore();
  state.counters["GFLOPS"] = benchmark::Counter(2e-9 * double(shape.n_tokens * shape.n_used * kNOut * kDepth),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

/// Experts, how many of them a token uses, and tokens.
void add_shapes(benchmark::internal::Benchmark* benchmark) {
  for (const auto& [experts, used] : {std::pair{8, 2}, {32, 4}, {64, 6}, {128, 4}, {128, 8}})
    for (const int tokens : {32, 64, 128, 512}) benchmark->Args({experts, used, tokens});
}

void register_all() {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_IQ4_XS, GGML_TYPE_MXFP4, GGML_TYPE_F16})
    for (const ggml_backend_buffer_type_t layout : weight_buffer_types()) {
      if (!Experts(type, layout, {8, 2, 8}).possible()) continue;
      for (const bool ours : {false, true})
        benchmark::RegisterBenchmark(fmt::format("experts/{}/{}/{}", ggml_type_name(type),
                                                 ggml_backend_buft_name(layout), ours ? "ours" : "llama.cpp")
                                         .c_str(),
                                     run, type, layout, ours)
            ->Apply(add_shapes);
    }
}

const bool kRegistered = (register_all(), true);

}  // namespace
}  // namespace chunkkv::engine
