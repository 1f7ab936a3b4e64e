#include "llama/redundancy.h"

#include "kernels/attention.h"
#include "kernels/similar_keys.h"
#include "llama/kernel_run.h"
#include "llama/row_blocks.h"

#include <algorithm>
#include <atomic>
#include <numeric>

namespace chunkkv::engine {
namespace {

constexpr float kSmallestNorm = 1e-8f;
static_assert(kRowsOfBlock % kernels::SimilarKeysKernel::kPackedKeys ==
              0);  // blocks are packed by themselves
constexpr std::int64_t kFirstBlock = 64;
constexpr std::int64_t kLargestBlock = 1024;
constexpr std::size_t kTileRows = 4096;
/// Keys that are copied at a time: of as many KV heads as have so many bytes, but at least of one.
constexpr std::size_t kCopiedBytes = std::size_t(16) << 20;

/// What the keys of one KV head are compared for. For each key i: the sum of its similarities to all others,
/// the key whose similarity row i sets to zero, and the similarity to that key.
struct Comparison {
  explicit Comparison(std::size_t n) : sum_to_others(n), zeroed_similarity(n), zeroed(n) {}

  std::vector<float> sum_to_others, zeroed_similarity;
  std::vector<std::int32_t> zeroed;

  /// Writes the mean similarity of all keys to each, without what is set to zero, to `mean`, [keys].
  void find_mean(float* mean) const {
    const std::size_t n = zeroed.size();
    // Neighbours are often like the same key, so two sums take turns: none waits for the one before.
    std::vector<double> sums(sum_to_others.begin(), sum_to_others.end()), others(n);
    const auto take = [&](std::vector<double>& from, std::size_t i) {
      const auto j = std::size_t(zeroed[i]);
      from[j] -= j != i ? double(zeroed_similarity[i]) : 0.0;
    };
    for (std::size_t i = 0; i + 1 < n; i += 2) {
      take(sums, i);
      take(others, i + 1);
    }
    if (n % 2 == 1) take(sums, n - 1);
    const double share = 1 / double(n);
    for (std::size_t j = 0; j < n; ++j) mean[j] = float((sums[j] + others[j]) * share);
  }
};

/// One KV head's keys by graphs, on any device.
class HeadKeys {
 public:
  HeadKeys(Compute& compute, const CacheLayer& cache, std::int64_t head, std::span<const std::int32_t> cells)
      : compute_(compute), cache_(cache), head_(head), cells_(cells) {}

  Comparison compare(float threshold) {
    Comparison result(cells_.size());
    std::vector<float> total(cells_.size()), own(cells_.size());
    column_sums(total, own);
    for (std::size_t j = 0; j < total.size(); ++j) result.sum_to_others[j] = total[j] - own[j];
    result.zeroed = last_similar(threshold);
    result.zeroed_similarity = similarity_to(result.zeroed);
    return result;
  }

  /// Writes all normalised keys to `units`, [cells.size()][head_dim].
  void copy(float* units) {
    const auto dim = std::size_t(cache_.k->ne[0] / cache_.n_head_kv);
    for_tiles(cells_.size(), [&](std::size_t first, std::size_t count) {
      Graph g = graph();
      g.output(keys(g, cells_.subspan(first, count)), units + first * dim);
      g.run();
    });
  }

 private:
  /// The normalised keys of `cells`: [head_dim, cells.size()].
  ggml_tensor* keys(Graph& g, std::span<const std::int32_t> cells) {
    const ggml_tensor* k = cache_.k;
    const std::int64_t dim = k->ne[0] / cache_.n_head_kv;
    ggml_tensor* rows = g.alias(k, k->type, {dim, k->ne[1], 1, 1}, {k->nb[0], k->nb[1], k->nb[2], k->nb[2]},
                                cache_.head_bytes(k) * std::size_t(head_));
    ggml_tensor* index = g.input(GGML_TYPE_I32, {std::int64_t(cells.size()), 1, 1, 1}, cells.data());
    return ggml_l2_norm(g.ctx(), ggml_get_rows(g.ctx(), rows, index), kSmallestNorm);
  }

  Graph graph() { return Graph(compute_.device_of(cache_.k), 64); }

  template <class Do>
  void for_tiles(std::size_t n, Do&& act) {
    for (std::size_t first = 0; first < n; first += kTileRows) act(first, std::min(kTileRows, n - first));
  }

  /// total[j] = sum over all i of k_i . k_j, own[j] = k_j . k_j.
  void column_sums(std::span<float> total, std::span<float> own) {
    const std::size_t dim = std::size_t(cache_.k->ne[0] / cache_.n_head_kv);
    std::vector<double> sum(dim);
    std::vector<float> part(dim);
    for_tiles(cells_.size(), [&](std::size_t first, std::size_t count) {
      Graph g = graph();
      ggml_tensor* columns =
          ggml_cont(g.ctx(), ggml_transpose(g.ctx(), keys(g, cells_.subspan(first, count))));
      g.output(ggml_sum_rows(g.ctx(), columns), part.data());
      g.run();
      for (std::size_t d = 0; d < dim; ++d) sum[d] += part[d];
    });
    const std::vector<float> direction(sum.begin(), sum.end());
    for_tiles(cells_.size(), [&](std::size_t first, std::size_t count) {
      Graph g = graph();
      ggml_tensor* k = keys(g, cells_.subspan(first, count));
      ggml_tensor* s = g.input(GGML_TYPE_F32, {std::int64_t(dim), 1, 1, 1}, direction.data());
      g.output(ggml_sum_rows(g.ctx(), ggml_mul(g.ctx(), k, s)), total.data() + first);
      g.output(ggml_sum_rows(g.ctx(), ggml_sqr(g.ctx(), k)), own.data() + first);
      g.run();
    });
  }

  /// For each i the last j != i with k_i . k_j > threshold; 0 where there is none.
  std::vector<std::int32_t> last_similar(float threshold) {
    const auto n = std::int64_t(cells_.size());
    std::vector<std::int32_t> last(cells_.size(), 0);
    std::vector<std::int32_t> open(cells_.size());
    std::iota(open.begin(), open.end(), 0);
    std::int64_t end = n;
    for (std::int64_t size = kFirstBlock; end > 0 && !open.empty();
         size = std::min(2 * size, kLargestBlock)) {
      const std::int64_t first = std::max<std::int64_t>(0, end - size);
      std::vector<std::int32_t> still_open;
      for_tiles(open.size(), [&](std::size_t at, std::size_t count) {
        search_block(first, end - first, std::span(open).subspan(at, count), threshold, last, still_open);
      });
      open = std::move(still_open);
      end = first;
    }
    return last;
  }

  /// Finds for each of `rows` its last hit among the keys first .. first + count - 1. Rows without one are
  /// added to `still_open`.
  void search_block(std::int64_t first, std::int64_t count, std::span<const std::int32_t> rows,
                    float threshold, std::span<std::int32_t> last, std::vector<std::int32_t>& still_open) {
    std::vector<std::int32_t> row_cells(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) row_cells[i] = cells_[std::size_t(rows[i])];
    // A hit in column j of the block weighs j + 1, so the heaviest hit is the last one.
    std::vector<float> weights(static_cast<std::size_t>(count));
    std::iota(weights.begin(), weights.end(), 1.0f);

    Graph g = graph();
    ggml_tensor* block = keys(g, cells_.subspan(std::size_t(first), std::size_t(count)));
    ggml_tensor* similarity = ggml_mul_mat(g.ctx(), block, keys(g, row_cells));  // [count, rows]
    ggml_prec_set_acc(similarity, GGML_PREC_F32);

    // Rows of this block are compared with themselves: lower those similarities below any threshold.
    const auto inside = std::lower_bound(rows.begin(), rows.end(), std::int32_t(first));
    const auto n_inside =
        std::size_t(std::lower_bound(inside, rows.end(), std::int32_t(first + count)) - inside);
    std::vector<float> diagonal;
    if (n_inside > 0) {
      diagonal.assign(std::size_t(count) * rows.size(), 0.0f);
      for (std::size_t i = std::size_t(inside - rows.begin()), e = i + n_inside; i < e; ++i)
        diagonal[i * std::size_t(count) + std::size_t(rows[i] - first)] = -4.0f;
      similarity =
          ggml_add(g.ctx(), similarity,
                   g.input(GGML_TYPE_F32, {count, std::int64_t(rows.size()), 1, 1}, diagonal.data()));
    }
    ggml_tensor* hits = ggml_step(g.ctx(), ggml_scale_bias(g.ctx(), similarity, 1.0f, -threshold));
    ggml_tensor* weighed = ggml_mul(g.ctx(), hits, g.input(GGML_TYPE_F32, {count, 1, 1, 1}, weights.data()));
    std::vector<std::int32_t> best(rows.size());
    std::vector<float> n_hits(rows.size());
    g.output(ggml_argmax(g.ctx(), weighed), best.data());
    g.output(ggml_sum_rows(g.ctx(), hits), n_hits.data());
    g.run();

    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (n_hits[i] > 0)
        last[std::size_t(rows[i])] = std::int32_t(first) + best[i];
      else
        still_open.push_back(rows[i]);
    }
  }

  /// k_i . k_other[i] for each i.
  std::vector<float> similarity_to(std::span<const std::int32_t> other) {
    std::vector<std::int32_t> other_cells(other.size());
    for (std::size_t i = 0; i < other.size(); ++i) other_cells[i] = cells_[std::size_t(other[i])];
    std::vector<float> result(other.size());
    for_tiles(other.size(), [&](std::size_t first, std::size_t count) {
      Graph g = graph();
      ggml_tensor* a = keys(g, cells_.subspan(first, count));
      ggml_tensor* b = keys(g, std::span<const std::int32_t>(other_cells).subspan(first, count));
      g.output(ggml_sum_rows(g.ctx(), ggml_mul(g.ctx(), a, b)), result.data() + first);
      g.run();
    });
    return result;
  }

  Compute& compute_;
  const CacheLayer& cache_;
  std::int64_t head_;
  std::span<const std::int32_t> cells_;
};

bool has_kernel(Compute& compute, const CacheLayer& cache) {
  const std::int64_t depth = keys_of(cache).width;
  return compute.device_of(cache.k).is_cpu && !kernels::similar_keys_kernels().empty() && depth % 16 == 0 &&
         depth <= kernels::kMostAttentionDepth;
}

/// Compares the keys of some KV heads by our kernel, together, since its threads wait for each other after
/// each step.
std::vector<Comparison> compare_by_kernel(Compute& compute, const CacheLayer& cache, HeadRange heads,
                                          std::span<const std::int32_t> cells, float threshold) {
  const kernels::SimilarKeysKernel& kernel = kernels::similar_keys_kernels().front();
  const RowTensor keys = keys_of(cache);
  const bool in_place = row_kernel(compute, keys) != nullptr;
  const auto n_heads = std::size_t(heads.end - heads.first), n = cells.size();
  const auto depth = std::size_t(keys.width), head_size = in_place ? n : n * depth;
  Compute::KernelMemory& memory = compute.kernel_memory();
  memory.units.reserve(n_heads * head_size * sizeof(float));
  std::vector<float> errors(n_heads * n);
  auto* const units = reinterpret_cast<float*>(memory.units.get());  // or their factors

  std::vector<Comparison> results(n_heads, Comparison(n));
  std::vector<kernels::SimilarKeysTask> tasks;
  for (std::size_t h = 0; h < n_heads; ++h) {
    const std::int64_t head = heads.first + std::int64_t(h);
    float* const own = units + h * head_size;
    if (!in_place) HeadKeys(compute, cache, head, cells).copy(own);
    tasks.push_back({.n = std::int64_t(n),
                     .depth = std::int64_t(depth),
                     .keys = in_place ? nullptr : own,
                     .rows = in_place ? row_task(cache, keys, head, cells) : kernels::RowStatisticsTask{},
                     .smallest = kSmallestNorm,
                     .factors = in_place ? own : nullptr,
                     .errors = errors.data() + h * n,
                     .threshold = threshold,
                     .newest = results[h].zeroed.data(),
                     .of_newest = results[h].zeroed_similarity.data(),
                     .of_others = results[h].sum_to_others.data()});
  }
  const std::size_t packed_bytes = kernel.packed_bytes(tasks.front());
  memory.packed.reserve(n_heads * packed_bytes);
  for (std::size_t h = 0; h < n_heads; ++h) {
    tasks[h].packed = memory.packed.get() + h * packed_bytes;
    kernel.prepare(tasks[h]);
  }

  const std::vector<double> sums =
      sum_of_row_blocks(compute, cache, keys, heads, cells, [&](const RowBlock& b, float* sum) {
        kernel.pack(tasks[std::size_t(b.head - heads.first)], b.first, b.end, sum);
      });
  const std::vector<float> sum(sums.begin(), sums.end());
  for (std::size_t h = 0; h < n_heads; ++h) tasks[h].sum = sum.data() + h * depth;
  std::vector<std::atomic<std::int64_t>> next(n_heads);  // the first key that no thread has taken
  run_kernel(compute, cache.k, kernel.thread_bytes(tasks.front()),
             [&](char* own, std::atomic<std::int64_t>&) {
               for (std::size_t h = 0; h < n_heads; ++h) kernel.run(tasks[h], own, next[h]);
             });
  return results;
}

}  // namespace

std::vector<float> redundancy(Compute& compute, const CacheLayer& cache, std::span<const std::int32_t> cells,
                              float threshold) {
  std::vector<float> result(cells.size() * std::size_t(cache.n_head_kv));
  std::size_t n_done = 0;  // KV heads
  const auto add = [&](const Comparison& comparison) {
    comparison.find_mean(result.data() + n_done++ * cells.size());
  };
  if (!has_kernel(compute, cache)) {
    for (std::int64_t head = 0; head < cache.n_head_kv; ++head)
      add(HeadKeys(compute, cache, head, cells).compare(threshold));
    return result;
  }
  const std::size_t head_bytes = cells.size() * std::size_t(keys_of(cache).width) * sizeof(float);
  const std::int64_t together = std::clamp<std::int64_t>(
      std::int64_t(kCopiedBytes / std::max<std::size_t>(1, head_bytes)), 1, cache.n_head_kv);
  for (std::int64_t head = 0; head < cache.n_head_kv; head += together) {
    const HeadRange heads = {head, std::min<std::int64_t>(head + together, cache.n_head_kv)};
    for (const Comparison& comparison : compare_by_kernel(compute, cache, heads, cells, threshold))
      add(comparison);
  }
  return result;
}

}  // namespace chunkkv::engine
