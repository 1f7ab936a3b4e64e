// Measures products of 512 tokens with weights of every type: the engine's, from each of its layouts, and
// ours, in GFLOPS of one thread by CPU time. The product of one token is given in bytes of weights a second,
// which limit generation.
#include "kernels/aligned_block.h"
#include "kernels/product.h"
#include "llama/handles.h"
#include "llama/weight_source.h"
#include "random_numbers.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <ggml-cpu.h>

#include <string>
#include <vector>

namespace chunkkv::engine {
namespace {

constexpr std::int64_t kNOut = 1536, kDepth = 1536, kNTokens = 512;

/// A product as an operation of the engine.
class Product {
 public:
  Product(ggml_type type, ggml_backend_buffer_type_t layout, std::int64_t tokens, bool with_data = true)
      : backend_(ggml_backend_cpu_init()),
        context_(ggml_init({.mem_size = 8 * ggml_tensor_overhead() + ggml_graph_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true})) {
    ggml_backend_cpu_set_n_threads(backend_.get(), 1);
    weights_ = ggml_new_tensor_2d(context_.get(), type, kDepth, kNOut);
    ggml_tensor* x = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, kDepth, tokens);
    product_ = ggml_mul_mat(context_.get(), weights_, x);
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, product_);
    weights_buffer_.reset(
        ggml_backend_buft_alloc_buffer(layout, ggml_backend_buft_get_alloc_size(layout, weights_)));
    ggml_backend_tensor_alloc(weights_buffer_.get(), weights_,
                              ggml_backend_buffer_get_base(weights_buffer_.get()));
    const bool plain = layout == ggml_backend_cpu_buffer_type();
    possible_ = ggml_backend_supports_op(backend_.get(), product_) && (plain || weights_->extra != nullptr);
    if (!possible_ || !with_data) return;
    std::vector<char> data(ggml_nbytes(weights_));
    ggml_quantize_chunk(type, random_numbers(std::size_t(kNOut * kDepth)).data(), data.data(), 0, kNOut,
                        kDepth, nullptr);
    ggml_backend_tensor_set(weights_, data.data(), 0, data.size());
    rest_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_buffer_type()));
    ggml_backend_tensor_set(x, random_numbers(std::size_t(tokens * kDepth)).data(), 0, ggml_nbytes(x));
  }

  bool possible() const { return possible_; }
  const ggml_tensor* weights() const { return weights_; }
  const ggml_tensor* product() const { return product_; }
  void compute() { ggml_backend_graph_compute(backend_.get(), graph_); }

 private:
  BackendHandle backend_;
  GgmlContext context_;
  BufferHandle weights_buffer_, rest_;
  ggml_tensor* weights_ = nullptr;
  ggml_tensor* product_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  bool possible_ = false;
};

void count_operations(benchmark::State& state) {
  state.counters["GFLOPS"] = benchmark::Counter(2e-9 * double(kNTokens * kNOut * kDepth),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void engine_prompt(benchmark::State& state, ggml_type type, ggml_backend_buffer_type_t layout) {
  Product product(type, layout, kNTokens);
  if (!product.possible()) return state.SkipWithError("not in this layout");
  for ([[maybe_unused]] auto _ : state) product.compute();
  count_operations(state);
}

void engine_token(benchmark::State& state, ggml_type type, ggml_backend_buffer_type_t layout) {
  Product product(type, layout, 1);
  if (!product.possible()) return state.SkipWithError("not in this layout");
  for ([[maybe_unused]] auto _ : state) product.compute();
  state.SetBytesProcessed(state.iterations() * std::int64_t(ggml_row_size(type, kDepth)) * kNOut);
}

bool can_read(const kernels::ProductKernel& kernel, const ggml_tensor* tensor) {
  const auto weights = source_of(tensor);
  if (!weights) return false;
  if (kernel.arithmetic == kernels::Arithmetic::bytes)
    return weights->quants != nullptr && kernels::can_read(kernel, *weights->quants);
  return weights->layout == nullptr || !weights->layout->by_depth || kernel.reads_by_depth;
}

void our_prompt(benchmark::State& state, ggml_type type, ggml_backend_buffer_type_t layout,
                const kernels::ProductKernel* kernel) {
  const Product engines(type, layout, kNTokens);
  if (!engines.possible()) return state.SkipWithError("not in this layout");
  const auto weights = source_of(engines.weights());
  const ggml_tensor* x = engines.product()->src[1];
  const kernels::ProductTask task{.n_tokens = kNTokens,
                                  .n_out = kNOut,
                                  .weights = *weights,
                                  .x = static_cast<const char*>(x->data),
                                  .x_row = x->nb[1],
                                  .out = static_cast<char*>(engines.product()->data),
                                  .out_row = engines.product()->nb[1]};
  const kernels::AlignedBlock shared(kernel->shared_bytes(task)), own(kernel->thread_bytes(task));
  kernels::Team team;
  for ([[maybe_unused]] auto _ : state) kernel->run(task, 0, 1, shared.get(), own.get(), team);
  count_operations(state);
}

void register_all() {
  for (const ggml_type type :
       {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K,
        GGML_TYPE_Q3_K, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
        GGML_TYPE_MXFP4, GGML_TYPE_F16, GGML_TYPE_BF16})
    for (const ggml_backend_buffer_type_t layout : weight_buffer_types()) {
      const auto name = [&](const char* what) {
        return fmt::format("{}/{}/{}", ggml_type_name(type), ggml_backend_buft_name(layout), what);
      };
      const Product probe(type, layout, 1, false);
      if (!probe.possible()) continue;
      benchmark::RegisterBenchmark(name("llama.cpp").c_str(), engine_prompt, type, layout);
      for (const kernels::ProductKernel* kernel : kernels::product_kernels())
        if (can_read(*kernel, probe.weights()))
          benchmark::RegisterBenchmark(name(kernel->name).c_str(), our_prompt, type, layout, kernel);
      benchmark::RegisterBenchmark(name("llama.cpp, one token").c_str(), engine_token, type, layout);
    }
}

const bool kRegistered = (register_all(), true);

}  // namespace
}  // namespace chunkkv::engine
