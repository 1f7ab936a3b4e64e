// Measures causal attention of a micro-batch at the end of a prompt, the sums of its weights, and attention
// of a step that several sequences take together: our kernels and the engine's operation on the same numbers,
// with one thread. GFLOPS count 4 depth operations for each query, head and visible cell.
#include "kernels/aligned_block.h"
#include "kernels/attention.h"
#include "kernels/decode_attention.h"

#include <benchmark/benchmark.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace {

using chunkkv::kernels::AlignedBlock;
using chunkkv::kernels::AttentionKernel;
using chunkkv::kernels::AttentionTask;

struct Problem {
  std::int64_t depth, n_head, n_head_kv, n_cells, n_queries;
  double pairs = 0;  // number of pairs of a query and a cell that it sees
  std::vector<float> q, out;
  std::vector<ggml_fp16_t> k, v, mask;

  /// `is_step`: each query sees only cells of its own; otherwise attention is causal.
  Problem(const benchmark::State& state, bool is_step)
      : depth(state.range(0)),
        n_head(state.range(1)),
        n_head_kv(state.range(2)),
        n_cells(state.range(3) * (is_step ? state.range(4) : 1)),
        n_queries(state.range(4)) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    q.resize(std::size_t(depth * n_head * n_queries));
    out.resize(q.size());
    k.resize(std::size_t(depth * n_head_kv * n_cells));
    v.resize(k.size());
    for (float& x : q) x = normal(random);
    for (std::vector<ggml_fp16_t>* cache : {&k, &v})
      for (ggml_fp16_t& x : *cache) x = ggml_fp32_to_fp16(normal(random));
    const ggml_fp16_t hidden = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
    mask.resize(std::size_t(n_cells * n_queries));
    for (std::int64_t t = 0; t < n_queries; ++t)
      for (std::int64_t c = 0; c < n_cells; ++c) {
        const bool is_seen = is_step ? c / state.range(3) == t : c <= t + n_cells - n_queries;
        if (is_seen)
          ++pairs;
        else
          mask[std::size_t(t * n_cells + c)] = hidden;
      }
  }

  chunkkv::kernels::VisibleCells visible() const {
    chunkkv::kernels::VisibleCells result;
    result.read(reinterpret_cast<const char*>(mask.data()), n_queries, n_cells, std::size_t(n_cells) * 2);
    return result;
  }

  AttentionTask task() {
    const auto row = std::size_t(depth) * 4;
    AttentionTask task;
    task.n_queries = n_queries, task.n_cells = n_cells, task.n_head = n_head, task.n_head_kv = n_head_kv;
    task.depth = depth, task.scale = 1 / std::sqrt(float(depth));
    task.q = reinterpret_cast<const char*>(q.data());
    task.q_query = row, task.q_head = row * std::size_t(n_queries);
    task.k = reinterpret_cast<const char*>(k.data()), task.v = reinterpret_cast<const char*>(v.data());
    task.k_cell = task.v_cell = row / 2 * std::size_t(n_head_kv), task.k_head = task.v_head = row / 2;
    task.out = reinterpret_cast<char*>(out.data());
    task.out_query = row * std::size_t(n_head), task.out_head = row;
    return task;
  }

  void report(benchmark::State& state) const {
    state.counters["GFLOPS"] =
        benchmark::Counter(4e-9 * double(depth) * double(n_head) * pairs * double(state.iterations()),
                           benchmark::Counter::kIsRate);
  }
};

/// A prompt's attention as the fastest kernel computes it; `act` measures with the kernel and its task.
template <class Act>
void by_kernel(benchmark::State& state, Act act) {
  if (chunkkv::kernels::attention_kernels().empty())
    return state.SkipWithError("no kernel for this processor");
  const AttentionKernel& kernel = chunkkv::kernels::attention_kernels().front();
  Problem p(state, false);
  const auto visible = p.visible();
  AttentionTask task = p.task();
  task.visible = visible.words.data(), task.seen_by_any = visible.seen_by_any.data();
  act(kernel, task);
  state.SetLabel(kernel.name);
  p.report(state);
}

void measure(benchmark::State& state, const AttentionKernel& kernel, const AttentionTask& task) {
  const AlignedBlock own(kernel.thread_bytes(task, 1));
  for (auto _ : state) {
    std::atomic<std::int64_t> next = 0;
    kernel.run(task, 1, own.get(), next);
  }
}

void ours(benchmark::State& state) {
  by_kernel(state,
            [&](const AttentionKernel& kernel, const AttentionTask& task) { measure(state, kernel, task); });
}

/// The same, with the attention that each cell receives from all queries.
void ours_with_sums(benchmark::State& state) {
  by_kernel(state, [&](const AttentionKernel& kernel, AttentionTask task) {
    std::vector<float> statistics(std::size_t(2 * task.n_head * task.n_queries));
    task.statistics = statistics.data();
    task.n_parts = kernel.n_parts(task, 1);
    std::vector<float> received(std::size_t(task.n_parts * task.n_head * task.n_cells));
    task.received = received.data();
    measure(state, kernel, task);
  });
}

/// The attention that each cell receives from all queries, after theirs was computed.
void our_sums(benchmark::State& state) {
  by_kernel(state, [&](const AttentionKernel& kernel, AttentionTask task) {
    const AlignedBlock own(kernel.thread_bytes(task, 1));
    std::vector<float> statistics(std::size_t(2 * task.n_head * task.n_queries));
    std::vector<float> sums(std::size_t(task.n_head * task.n_cells));
    task.statistics = statistics.data();
    std::atomic<std::int64_t> first = 0;
    kernel.run(task, 1, own.get(), first);
    for (auto _ : state) {
      std::atomic<std::int64_t> next = 0;
      kernel.sums(task, {0, task.n_queries, 1}, 1, own.get(), next, sums.data());
    }
  });
}

void our_step(benchmark::State& state) {
  if (chunkkv::kernels::decode_attention_kernels().empty())
    return state.SkipWithError("no kernel for this processor");
  const auto& kernel = chunkkv::kernels::decode_attention_kernels().front();
  Problem p(state, true);
  chunkkv::kernels::CellLists lists;
  lists.read(p.visible());
  const chunkkv::kernels::DecodeAttentionTask work(p.task(), lists);
  std::vector<float> sums(chunkkv::kernels::PartSums::n_sums(work));
  std::vector<std::atomic<std::int32_t>> done(chunkkv::kernels::PartSums::n_done(work));
  const AlignedBlock own(kernel.thread_bytes(work.task));
  for (auto _ : state) {
    std::atomic<std::int64_t> next = 0;
    kernel.run(work, {sums.data(), done.data()}, own.get(), next);
  }
  state.SetLabel(kernel.name);
  p.report(state);
}

void by_engine(benchmark::State& state, bool is_step) {
  Problem p(state, is_step);
  const std::unique_ptr<ggml_backend, void (*)(ggml_backend_t)> backend(ggml_backend_cpu_init(),
                                                                        ggml_backend_free);
  ggml_backend_cpu_set_n_threads(backend.get(), 1);
  const ggml_init_params params{.mem_size = 8 * ggml_tensor_overhead() + ggml_graph_overhead(),
                                .mem_buffer = nullptr,
                                .no_alloc = true};
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init(params), ggml_free);
  ggml_context* ctx = context.get();
  ggml_tensor* q = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, p.depth, p.n_queries, p.n_head);
  // A cell's row holds all heads.
  const auto cache = [&] {
    ggml_tensor* rows = ggml_new_tensor_3d(ctx, GGML_TYPE_F16, p.depth, p.n_head_kv, p.n_cells);
    return std::pair(rows, ggml_permute(ctx, rows, 0, 2, 1, 3));
  };
  const auto [k_rows, k] = cache();
  const auto [v_rows, v] = cache();
  ggml_tensor* mask = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, p.n_cells, p.n_queries);
  ggml_tensor* out = ggml_flash_attn_ext(ctx, q, k, v, mask, 1 / std::sqrt(float(p.depth)), 0, 0);
  ggml_cgraph* graph = ggml_new_graph(ctx);
  ggml_build_forward_expand(graph, out);
  const std::unique_ptr<ggml_backend_buffer, void (*)(ggml_backend_buffer_t)> buffer(
      ggml_backend_alloc_ctx_tensors(ctx, backend.get()), ggml_backend_buffer_free);
  ggml_backend_tensor_set(q, p.q.data(), 0, ggml_nbytes(q));
  ggml_backend_tensor_set(k_rows, p.k.data(), 0, ggml_nbytes(k_rows));
  ggml_backend_tensor_set(v_rows, p.v.data(), 0, ggml_nbytes(v_rows));
  ggml_backend_tensor_set(mask, p.mask.data(), 0, ggml_nbytes(mask));
  for (auto _ : state) ggml_backend_graph_compute(backend.get(), graph);
  state.SetLabel("llama.cpp");
  p.report(state);
}

void engines(benchmark::State& state) {
  by_engine(state, false);
}
void engines_step(benchmark::State& state) {
  by_engine(state, true);
}

// depth, heads, KV heads, cells, queries
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({64, 9, 3, 512, 512});
  b->Args({64, 9, 3, 2048, 512});
  b->Args({64, 9, 3, 7936, 512});
  b->Args({64, 9, 3, 2048, 32});
  b->Args({128, 12, 2, 2048, 512});
  b->Args({128, 12, 2, 7936, 512});
  b->Unit(benchmark::kMillisecond);
}
BENCHMARK(ours)->Apply(shapes);
BENCHMARK(ours_with_sums)->Apply(shapes);
BENCHMARK(our_sums)->Apply(shapes);
BENCHMARK(engines)->Apply(shapes);

// depth, heads, KV heads, cells of a sequence, sequences
void steps(benchmark::internal::Benchmark* b) {
  for (const int n : {1, 8}) {
    b->Args({64, 9, 3, 2048, n});
    b->Args({64, 14, 2, 6144, n});
    b->Args({64, 14, 2, 640, n});
    b->Args({128, 12, 2, 6144, n});
    b->Args({128, 32, 32, 2048, n});
    b->Args({256, 4, 1, 2048, n});
  }
  b->Unit(benchmark::kMillisecond);
}
BENCHMARK(our_step)->Apply(steps);
BENCHMARK(engines_step)->Apply(steps);

}  // namespace
