#include "llama/redundancy.h"

#include "kernels/attention.h"
#include "kernels/similar_keys.h"
#include "llama/kernel_run.h"
#include "llama/row_blocks.h"

#include <algorithm>
#include <numeric>

namespace chunkkv::engine {
namespace {

constexpr float kSmallestNorm = 1e-8f;
constexpr std::int64_t kFirstBlock = 64;
constexpr std::int64_t kLargestBlock = 1024;
constexpr std::size_t kTileRows = 4096;

/// Similarities of one KV head's keys.
class HeadSimilarity {
 public:
  /// `unit`: memory for normalised keys, which one head uses after the other.
  HeadSimilarity(Compute& compute, const CacheLayer& cache, std::int32_t head,
                 std::span<const std::int32_t> cells, std::vector<float>& unit)
      : compute_(compute),
        cache_(cache),
        head_(head),
        cells_(cells),
        unit_(unit),
        sum_to_others_(cells.size()),
        zeroed_similarity_(cells.size()),
        zeroed_(cells.size()) {}

  std::vector<float> redundancy(float threshold) {
    const std::size_t n = cells_.size();
    if (has_kernel())
      compare_by_kernel(threshold);
    else
      compare(threshold);
    std::vector<double> sums(sum_to_others_.begin(), sum_to_others_.end());
    for (std::size_t i = 0; i < n; ++i)
      if (const auto j = std::size_t(zeroed_[i]); j != i) sums[j] -= double(zeroed_similarity_[i]);
    std::vector<float> mean(n);
    for (std::size_t j = 0; j < n; ++j) mean[j] = float(sums[j] / double(n));
    return mean;
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

  void compare(float threshold) {
    std::vector<float> total(cells_.size()), own(cells_.size());
    column_sums(total, own);
    for (std::size_t j = 0; j < total.size(); ++j) sum_to_others_[j] = total[j] - own[j];
    zeroed_ = last_similar(threshold);
    zeroed_similarity_ = similarity_to(zeroed_);
  }

  bool has_kernel() const {
    return compute_.device_of(cache_.k).is_cpu && !kernels::similar_keys_kernels().empty() &&
           head_dim() % 16 == 0 && head_dim() <= kernels::kMostAttentionDepth;
  }
  std::int64_t head_dim() const { return cache_.k->ne[0] / cache_.n_head_kv; }

  /// Writes all normalised keys to `unit_`, [cells.size()][head_dim], and returns their sum, [head_dim].
  std::vector<double> fill_unit_keys() {
    const auto dim = std::size_t(head_dim());
    unit_.resize(cells_.size() * dim);
    if (const auto* kernel = row_kernel(compute_, keys_of(cache_))) {
      const HeadRange heads = {head_, head_ + 1};
      for_row_blocks(compute_, cache_, keys_of(cache_), heads, cells_, [&](const RowBlock& b) {
        kernel->units(b.task, b.first, b.end, kSmallestNorm, unit_.data());
      });
      return sum_of_units(compute_, cache_, *kernel, heads, cells_, kSmallestNorm);
    }
    for_tiles(cells_.size(), [&](std::size_t first, std::size_t count) {
      Graph g = graph();
      g.output(keys(g, cells_.subspan(first, count)), unit_.data() + first * dim);
      g.run();
    });
    std::vector<double> sums(dim);
    for (std::size_t i = 0; i < unit_.size(); i += dim)
      for (std::size_t d = 0; d < dim; ++d) sums[d] += double(unit_[i + d]);
    return sums;
  }

  void compare_by_kernel(float threshold) {
    const std::vector<double> sums = fill_unit_keys();
    const std::vector<float> sum(sums.begin(), sums.end());

    const kernels::SimilarKeysKernel& kernel = kernels::similar_keys_kernels().front();
    const kernels::SimilarKeysTask task{.n = std::int64_t(cells_.size()),
                                        .depth = head_dim(),
                                        .keys = unit_.data(),
                                        .sum = sum.data(),
                                        .threshold = threshold,
                                        .newest = zeroed_.data(),
                                        .of_newest = zeroed_similarity_.data(),
                                        .of_others = sum_to_others_.data()};
    run_kernel(compute_, cache_.k, kernel.thread_bytes(task),
               [&](char* own, std::atomic<std::int64_t>& next) { kernel.run(task, own, next); });
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
  std::int32_t head_;
  std::span<const std::int32_t> cells_;
  std::vector<float>& unit_;
  // For each key i: the sum of its similarities to all others, its similarity to key zeroed_[i], and the key
  // whose similarity row i sets to zero.
  std::vector<float> sum_to_others_, zeroed_similarity_;
  std::vector<std::int32_t> zeroed_;
};

}  // namespace

std::vector<float> redundancy(Compute& compute, const CacheLayer& cache, std::span<const std::int32_t> cells,
                              float threshold) {
  std::vector<float> result, unit;
  result.reserve(cells.size() * std::size_t(cache.n_head_kv));
  for (std::int32_t head = 0; head < cache.n_head_kv; ++head) {
    const std::vector<float> mean = HeadSimilarity(compute, cache, head, cells, unit).redundancy(threshold);
    result.insert(result.end(), mean.begin(), mean.end());
  }
  return result;
}

}  // namespace chunkkv::engine
