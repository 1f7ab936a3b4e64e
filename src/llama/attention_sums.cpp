#include "llama/attention_sums.h"

#include "kernels/dots.h"
#include "kernels/soft_max.h"
#include "llama/fast_attention.h"
#include "llama/kernel_run.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace chunkkv::engine {
namespace {

constexpr float kHidden = -std::numeric_limits<float>::infinity();  // a logit that gets no weight

/// Whether `dots` can compute the logits: for few queries and short keys it is much faster than ggml.
bool has_kernel(const Graph& g, const ggml_tensor* keys, const ggml_tensor* q) {
  return g.on_cpu() && kernels::has_fast_dots() && q->type == GGML_TYPE_F32 && q->nb[0] == sizeof(float) &&
         (keys->type == GGML_TYPE_F16 || keys->type == GGML_TYPE_F32) && keys->ne[0] % 16 == 0 &&
         keys->ne[0] <= kernels::kMostDotsDepth;
}

/// The products of queries and keys, which are the sources of `out`.
kernels::DotsTask dots_of(const ggml_tensor* out) {
  const ggml_tensor *k = out->src[0], *q = out->src[1];
  return {.n_cells = k->ne[1],
          .n_queries = q->ne[1],
          .n_head = q->ne[2],
          .n_head_kv = k->ne[2],
          .depth = k->ne[0],
          .k = static_cast<const char*>(k->data),
          .k_head = k->nb[2],
          .k_cell = k->nb[1],
          .k_half = k->type == GGML_TYPE_F16,
          .q = static_cast<const char*>(q->data),
          .q_head = q->nb[2],
          .q_query = q->nb[1],
          .out = static_cast<float*>(out->data)};
}

void compute_dots(ggml_tensor* out, int thread, int n_threads, void*) {
  kernels::dots(dots_of(out), thread, n_threads);
}

/// Queries and their mask as tensors of a graph.
struct GraphQueries {
  ggml_tensor* q = nullptr;     // [head_dim, count, n_head]
  ggml_tensor* mask = nullptr;  // [n_kv, count]; null: the queries see every cell
};

GraphQueries in_graph(Graph& g, const Attention& a, QueryRange queries) {
  GraphQueries result;
  const auto stride = std::size_t(queries.stride);
  result.q = g.read(a.q, a.q->type, {a.q->ne[0], queries.count, a.q->ne[2], 1},
                    {a.q->nb[0], a.q->nb[1] * stride, a.q->nb[2], a.q->nb[3]},
                    a.q->nb[1] * std::size_t(queries.first));
  if (a.mask == nullptr) return result;
  const std::size_t row = a.mask->nb[1] * stride, all = row * std::size_t(queries.count);
  result.mask = g.read(a.mask, a.mask->type, {a.mask->ne[0], queries.count, 1, 1},
                       {a.mask->nb[0], row, all, all}, a.mask->nb[1] * std::size_t(queries.first));
  if (queries.stride > 1) result.mask = ggml_cont(g.ctx(), result.mask);  // the soft max needs it contiguous
  return result;
}

/// Numbers of stored queries and of their mask, which must live until their graph has run.
struct HostQueries {
  std::vector<float> q, mask;
};

GraphQueries in_graph(Graph& g, const StoredQueries& stored, QueryRange range, std::int64_t n_kv,
                      HostQueries& host) {
  const auto depth = std::size_t(stored.head_dim), count = std::size_t(range.count);
  const std::size_t n_head = stored.q.front().size() / depth;
  host.q.resize(n_head * depth * count);
  host.mask.assign(std::size_t(n_kv) * count, kHidden);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t query = std::size_t(range.first) + i;
    for (std::size_t h = 0; h < n_head; ++h)
      std::copy_n(stored.q[query].begin() + std::ptrdiff_t(h * depth), depth,
                  host.q.begin() + std::ptrdiff_t((h * count + i) * depth));
    float* sees = host.mask.data() + i * std::size_t(n_kv);
    for (const std::int32_t cell : stored.prompt) sees[cell] = 0;
    for (std::size_t earlier = 0; earlier <= query; ++earlier) sees[stored.cells[earlier]] = 0;
  }
  return {.q = g.input(GGML_TYPE_F32, {stored.head_dim, range.count, std::int64_t(n_head), 1}, host.q.data()),
          .mask = g.input(GGML_TYPE_F32, {n_kv, range.count, 1, 1}, host.mask.data())};
}

/// The keys of all cells: [head_dim, n_kv, n_head_kv].
ggml_tensor* all_keys(Graph& g, const CacheLayer& cache, const Attention& a) {
  const ggml_tensor* k = cache.k;
  const std::size_t head = cache.head_bytes(k);
  return g.alias(k, k->type, {k->ne[0] / cache.n_head_kv, a.n_kv, cache.n_head_kv, 1},
                 {k->nb[0], k->nb[1], head, head * std::size_t(cache.n_head_kv)});
}

/// Logits q k (unscaled): [n_kv, count, n_head].
ggml_tensor* logits(Graph& g, const CacheLayer& cache, const Attention& a, ggml_tensor* q) {
  ggml_tensor* keys = all_keys(g, cache, a);
  if (has_kernel(g, keys, q)) {
    std::array<ggml_tensor*, 2> inputs{keys, q};
    return ggml_custom_4d(g.ctx(), GGML_TYPE_F32, a.n_kv, q->ne[1], q->ne[2], 1, inputs.data(),
                          int(inputs.size()), &compute_dots, GGML_N_TASKS_MAX, nullptr);
  }
  ggml_tensor* kq = ggml_mul_mat(g.ctx(), keys, q);
  ggml_prec_set_acc(kq, GGML_PREC_F32);
  return kq;
}

/// Rows first .. first + count - 1 of a contiguous [n, rows, heads], as a view.
ggml_tensor* rows_of(Graph& g, ggml_tensor* t, std::int64_t first, std::int64_t count) {
  return ggml_view_3d(g.ctx(), t, t->ne[0], count, t->ne[2], t->nb[1], t->nb[2],
                      t->nb[1] * std::size_t(first));
}

/// Sums dimension 1 by adding halves: [n, rows, heads] -> [n, 1, heads]. ggml sums only dimension 0,
/// and transposing the attention for that would cost more than computing it.
ggml_tensor* sum_rows_by_halves(Graph& g, ggml_tensor* t) {
  ggml_tensor* odd = nullptr;
  while (t->ne[1] > 1) {
    const std::int64_t half = t->ne[1] / 2;
    if (t->ne[1] % 2 == 1) {
      ggml_tensor* last = rows_of(g, t, 2 * half, 1);
      odd = odd == nullptr ? last : ggml_add(g.ctx(), odd, last);
    }
    t = ggml_add(g.ctx(), rows_of(g, t, 0, half), rows_of(g, t, half, half));
  }
  return odd == nullptr ? t : ggml_add(g.ctx(), t, odd);
}

constexpr std::size_t kMaxTensors = 128;
constexpr std::int32_t kUsualWindow = 32;

/// How many queries one graph takes. On the CPU it is the usual window, which is small enough for the CPU's
/// caches. Other devices are faster with few large graphs, of 256 MiB of attention weights at most.
std::int32_t query_tile(Compute& compute, const CacheLayer& cache, const Attention& a) {
  constexpr std::size_t most_weights = (std::size_t(256) << 20) / sizeof(float);
  if (compute.device_of(cache.k).is_cpu) return kUsualWindow;
  const std::size_t weights_of_a_query = std::size_t(a.n_kv) * std::size_t(cache.n_head);
  const std::size_t fitting = std::min(most_weights / weights_of_a_query, std::size_t(1) << 16);
  return std::max(kUsualWindow, std::int32_t(fitting));
}

/// softmax(q k scale + mask): [n_kv, count, n_head].
ggml_tensor* weights(Graph& g, const CacheLayer& cache, const Attention& a, const GraphQueries& queries) {
  ggml_tensor* kq = logits(g, cache, a, queries.q);
  float scale = a.scale;
  if (a.softcap != 0) {
    kq = ggml_tanh(g.ctx(), ggml_scale(g.ctx(), kq, a.scale / a.softcap));
    scale = a.softcap;
  }
  ggml_tensor* p = ggml_soft_max_ext_inplace(g.ctx(), kq, queries.mask, scale, a.max_bias);
  if (a.sinks != nullptr)
    ggml_soft_max_add_sinks(p, g.read(a.sinks, a.sinks->type, {a.sinks->ne[0], 1, 1, 1},
                                      {a.sinks->nb[0], a.sinks->nb[1], a.sinks->nb[2], a.sinks->nb[3]}));
  return p;
}

/// Runs the graph and adds the column sums of `attention`, [n_kv, count, heads], to `sums`, [heads][n_kv].
void add_column_sums(Graph& g, ggml_tensor* attention, std::vector<float>& sums) {
  ggml_tensor* sum = sum_rows_by_halves(g, attention);
  if (!ggml_is_contiguous(sum)) sum = ggml_cont(g.ctx(), sum);
  std::vector<float> part(sums.size());
  g.output(sum, part.data());
  g.run();
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += part[i];
}

/// Maximises the logits of a group's heads, [group][stride] of which `n` are read, in `top`, [n]. Minus
/// infinity in cells that are not of the past, flags [n].
void max_of_group(const float* logits, std::int64_t group, std::int64_t stride, std::int64_t n,
                  const std::uint8_t* past, float* top) {
  std::copy_n(logits, n, top);
  for (std::int64_t i = 1; i < group; ++i) {
    logits += stride;
    for (std::int64_t c = 0; c < n; ++c) top[c] = top[c] < logits[c] ? logits[c] : top[c];
  }
  for (std::int64_t c = 0; c < n; ++c) top[c] = past[c] != 0 ? top[c] : kHidden;
}

const std::uint8_t* flags(void* past) {
  return static_cast<const std::span<const std::uint8_t>*>(past)->data();
}

/// Logits [n, count, n_head], maximised over the query heads of a KV head: [n, count, n_head_kv].
void compute_group_max(ggml_tensor* out, int thread, int n_threads, void* past) {
  const ggml_tensor* kq = out->src[0];
  const std::int64_t n = out->ne[0], count = out->ne[1], group = kq->ne[2] / out->ne[2];
  for (std::int64_t row = thread; row < count * out->ne[2]; row += n_threads)
    max_of_group(static_cast<const float*>(kq->data) + (row / count * group * count + row % count) * n, group,
                 count * n, n, flags(past), static_cast<float*>(out->data) + row * n);
}

/// The same by `dots`.
void compute_group_max_of_dots(ggml_tensor* out, int thread, int n_threads, void* past) {
  kernels::DotsTask task = dots_of(out);
  task.past = flags(past);
  kernels::dots(task, thread, n_threads);
}

/// The same by the operations that all devices have, but without the past.
ggml_tensor* group_max(Graph& g, const CacheLayer& cache, ggml_tensor* kq) {
  const std::int64_t group = cache.n_head / cache.n_head_kv;
  auto member = [&](std::int64_t i) {  // query head i of every KV head
    return ggml_view_3d(g.ctx(), kq, kq->ne[0], kq->ne[1], cache.n_head_kv, kq->nb[1],
                        kq->nb[2] * std::size_t(group), kq->nb[2] * std::size_t(i));
  };
  ggml_tensor* top = ggml_cont(g.ctx(), member(0));
  for (std::int64_t i = 1; i < group; ++i)  // max(a, b) = a + relu(b - a)
    top = ggml_add(g.ctx(), top, ggml_relu(g.ctx(), ggml_sub(g.ctx(), member(i), top)));
  return top;
}

/// Soft maxes of a KV head's logits, [n_kv, count, n_head_kv], added up in parts: [n_kv, parts, n_head_kv].
/// Overwrites the logits.
void compute_sums_of_parts(ggml_tensor* out, int thread, int n_threads, void* scale) {
  const ggml_tensor* logits = out->src[0];
  const auto add = kernels::soft_max_kernels().front().add;
  const std::int64_t n = logits->ne[0], count = logits->ne[1], parts = out->ne[1];
  for (std::int64_t i = thread; i < parts * out->ne[2]; i += n_threads) {
    float* const sums = static_cast<float*>(out->data) + i * n;
    std::fill_n(sums, n, 0.0f);
    const std::int64_t first = i / parts * count, part = i % parts;  // the head's first row
    for (std::int64_t row = first + part * count / parts; row < first + (part + 1) * count / parts; ++row)
      add(static_cast<float*>(logits->data) + row * n, n, *static_cast<const float*>(scale), sums);
  }
}

/// softmax(logits scale) of logits [n_kv, count, n_head_kv] on the CPU, added up to so many rows that all
/// threads have the same to do. Overwrites the logits.
ggml_tensor* soft_max_parts(Graph& g, ggml_tensor* logits, const float& scale, int n_threads) {
  if (kernels::soft_max_kernels().empty())
    return ggml_soft_max_ext_inplace(g.ctx(), logits, nullptr, scale, 0.0f);
  const std::int64_t heads = logits->ne[2],
                     parts = std::min(logits->ne[1], n_threads / std::gcd(heads, n_threads));
  return ggml_custom_4d(g.ctx(), GGML_TYPE_F32, logits->ne[0], parts, heads, 1, &logits, 1,
                        &compute_sums_of_parts, GGML_N_TASKS_MAX, const_cast<float*>(&scale));
}

/// softmax(logits scale) over the cells of the past, of logits maximised over the query heads of a KV head:
/// [n_kv, count or fewer rows that are sums, n_head_kv]. `past`, `mask` and `a` must live until the graph has
/// run; `mask` is filled in if the device needs one.
ggml_tensor* weights_of_past(Graph& g, const CacheLayer& cache, const Attention& a, ggml_tensor* q,
                             std::span<const std::uint8_t>& past, std::vector<float>& mask, int n_threads) {
  if (g.on_cpu()) {
    std::array<ggml_tensor*, 2> inputs{all_keys(g, cache, a), q};
    const bool fast = has_kernel(g, inputs[0], q);
    if (!fast) inputs[0] = logits(g, cache, a, q);
    ggml_tensor* top = ggml_custom_4d(
        g.ctx(), GGML_TYPE_F32, a.n_kv, q->ne[1], cache.n_head_kv, 1, inputs.data(), fast ? 2 : 1,
        fast ? &compute_group_max_of_dots : &compute_group_max, GGML_N_TASKS_MAX, &past);
    return soft_max_parts(g, top, a.scale, n_threads);
  }
  ggml_tensor* kq = logits(g, cache, a, q);
  for (std::int64_t i = 0; i < kq->ne[1]; ++i)
    for (const std::uint8_t seen : past) mask.push_back(seen != 0 ? 0.0f : kHidden);
  ggml_tensor* hidden = g.input(GGML_TYPE_F32, {kq->ne[0], kq->ne[1], 1, 1}, mask.data());
  return ggml_soft_max_ext_inplace(g.ctx(), group_max(g, cache, kq), hidden, a.scale, 0.0f);
}

/// Column sums over `queries`, which `in_graph` puts into a graph, `tile` of them at a time. `past`: see
/// `attention_sums`.
template <class InGraph>
std::vector<float> sums_by_tiles(Compute& compute, const CacheLayer& cache, const Attention& a,
                                 QueryRange queries, std::int32_t tile, std::span<const std::uint8_t> past,
                                 InGraph in_graph) {
  std::vector<float> sums(std::size_t(a.n_kv) * std::size_t(past.empty() ? cache.n_head : cache.n_head_kv));
  for (std::int32_t done = 0; done < queries.count; done += tile) {
    const QueryRange now{queries.first + done * queries.stride, std::min(tile, queries.count - done),
                         queries.stride};
    Graph g(compute.device_of(cache.k), kMaxTensors + (past.empty() ? 0 : 4 * std::size_t(cache.n_head)));
    std::vector<float> mask;
    add_column_sums(g,
                    past.empty()
                        ? weights(g, cache, a, in_graph(g, now))
                        : weights_of_past(g, cache, a, in_graph(g, now).q, past, mask, compute.n_threads()),
                    sums);
  }
  return sums;
}

/// Sums by the kernel that computed the attention. It knows each query's maximum and sum (`task`), so that
/// only the logits are computed again.
std::vector<float> kernel_sums(Compute& compute, const CacheLayer& cache, const kernels::AttentionTask& task,
                               QueryRange queries) {
  const kernels::AttentionKernel& kernel = *FastAttention::kernel();
  const int n_threads = compute.n_threads();
  std::vector<float> result(std::size_t(task.n_cells * task.n_head));
  run_kernel(compute, cache.k, kernel.thread_bytes(task, n_threads),
             [&](char* own, std::atomic<std::int64_t>& next) {
               kernel.sums(task, {queries.first, queries.count, queries.stride}, n_threads, own, next,
                           result.data());
             });
  return result;
}

}  // namespace

std::vector<float> attention_weights(Compute& compute, const CacheLayer& cache, const Attention& a,
                                     QueryRange queries) {
  std::vector<float> result(std::size_t(a.n_kv) * std::size_t(queries.count) * std::size_t(cache.n_head));
  Graph g(compute.device_of(cache.k), kMaxTensors);
  g.output(weights(g, cache, a, in_graph(g, a, queries)), result.data());
  g.run();
  return result;
}

std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& a,
                                  QueryRange queries, std::span<const std::uint8_t> past) {
  if (past.empty() && a.kernel_task != nullptr) return kernel_sums(compute, cache, *a.kernel_task, queries);
  const std::int32_t tile = past.empty() ? query_tile(compute, cache, a) : queries.count;
  return sums_by_tiles(compute, cache, a, queries, tile, past,
                       [&](Graph& g, QueryRange now) { return in_graph(g, a, now); });
}

std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& a,
                                  const StoredQueries& queries, std::int32_t count,
                                  std::span<const std::uint8_t> past) {
  const std::int32_t tile = past.empty() ? query_tile(compute, cache, a) : kUsualWindow;
  HostQueries host;
  return sums_by_tiles(compute, cache, a, {0, count}, tile, past,
                       [&](Graph& g, QueryRange now) { return in_graph(g, queries, now, a.n_kv, host); });
}

}  // namespace chunkkv::engine
