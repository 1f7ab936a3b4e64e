#include "llama/layer_probe.h"

#include <chunkkv/error.h>

#include "llama/cache_rows.h"
#include "llama/key_statistics.h"
#include "llama/redundancy.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace chunkkv::engine {
namespace {

LayerProbe::AttentionKey history_key(std::int32_t stride) {
  return {AttentionKind::softmax, 0, stride};
}

template <class Compute>
const std::vector<float>& once(std::optional<std::vector<float>>& memo, Compute compute) {
  if (!memo) memo = compute();
  return *memo;
}

}  // namespace

LayerProbe::LayerProbe(Compute& compute, const CacheLayer& cache, std::int32_t layer,
                       const std::vector<std::int32_t>& cells, std::int32_t n_entries)
    : compute_(compute), cache_(cache), layer_(layer), cells_(cells), n_entries_(std::size_t(n_entries)) {}

LayerProbe::AttentionKey LayerProbe::key_of(const ObservationRequest& request) {
  if (request.queries == Queries::all) return {request.attention, 0, request.stride};
  return {request.attention, request.window, 1};
}

void LayerProbe::add_by_entry(std::span<const float> by_cell, std::int64_t n_kv,
                              std::vector<float>& sums) const {
  const std::size_t heads = by_cell.size() / std::size_t(n_kv);
  sums.resize(heads * n_entries_);
  // Entries that were read one after the other mostly lie so, too.
  for (std::size_t i = 0, end = 0; i < cells_.size(); i = end) {
    end = i + 1;
    while (end < cells_.size() && cells_[end] == cells_[end - 1] + 1) ++end;
    for (std::size_t h = 0; h < heads; ++h) {
      const float* from = by_cell.data() + h * std::size_t(n_kv) + std::size_t(cells_[i]);
      float* to = sums.data() + h * n_entries_ + i;
      for (std::size_t n = 0; n < end - i; ++n) to[n] += from[n];
    }
  }
}

void LayerProbe::add_attention(const ObservationRequest& request, const Attention& attention,
                               QueryRange queries, std::int32_t first_window_entry) {
  AttentionSum& sum = attention_[key_of(request)];
  queries.first += attention.first_row;
  const bool is_all = queries.first == 0 && queries.stride == 1 && queries.count == attention.q->ne[1];
  if (is_all && request.attention == AttentionKind::softmax && !attention.received.empty())
    add_by_entry(attention.received, attention.n_kv, sum.values);
  else
    add_by_entry(attention_sums(compute_, cache_, attention, queries,
                                past(request, attention.n_kv, first_window_entry)),
                 attention.n_kv, sum.values);
  if (attention.reader == 0) sum.n_queries += queries.count;
}

std::vector<std::uint8_t> LayerProbe::past(const ObservationRequest& request, std::int64_t n_kv,
                                           std::int32_t first_window_entry) const {
  if (request.attention != AttentionKind::group_max_past) return {};
  std::vector<std::uint8_t> past(std::size_t(n_kv), 0);
  for (std::int32_t i = 0; i < first_window_entry; ++i) past[std::size_t(cells_[std::size_t(i)])] = 1;
  return past;
}

LayerProbe::StoredKey LayerProbe::stored_key(const ObservationRequest& request, std::int32_t reader) {
  const bool hides = request.attention == AttentionKind::group_max_past;
  return {request.attention, request.after, hides ? request.window : 0, reader};
}

void LayerProbe::store_query(const Attention& attention, std::size_t index) {
  const ggml_tensor& q = *attention.q;
  if (q.type != GGML_TYPE_F32 || q.nb[0] != sizeof(float))
    throw Error("this model's queries cannot be observed one by one; use after=0");
  const auto depth = std::size_t(q.ne[0]), n_head = std::size_t(q.ne[2]);
  // Copy everything from the first head's row to the last one's at once: each transfer costs much.
  std::vector<std::byte> bytes(q.nb[2] * (n_head - 1) + depth * sizeof(float));
  ggml_backend_tensor_get(&q, bytes.data(), q.nb[1] * std::size_t(attention.first_row), bytes.size());
  std::vector<float> values(n_head * depth);
  for (std::size_t h = 0; h < n_head; ++h)
    std::memcpy(values.data() + h * depth, bytes.data() + h * q.nb[2], depth * sizeof(float));
  queries_.resize(std::max(queries_.size(), std::size_t(attention.reader) + 1));
  StoredQueries& queries = queries_[std::size_t(attention.reader)];
  queries.head_dim = q.ne[0];
  queries.q.resize(index + 1);
  queries.cells.resize(index + 1);
  queries.q[index] = std::move(values);
  queries.cells[index] = attention.cells.front();
}

void LayerProbe::add_stored(const ObservationRequest& request, const Attention& attention,
                            std::int32_t first_window_entry) {
  const auto [it, is_new] = stored_.try_emplace(stored_key(request, attention.reader));
  if (!is_new) return;
  StoredQueries& queries = queries_[std::size_t(attention.reader)];
  queries.prompt = cells_;
  add_by_entry(attention_sums(compute_, cache_, attention, queries, request.after,
                              past(request, attention.n_kv, first_window_entry)),
               attention.n_kv, it->second);
}

void LayerProbe::set_history(std::int32_t stride, std::vector<float> sums) {
  if (!sums.empty()) attention_[history_key(stride)].values = std::move(sums);
}

std::vector<float> LayerProbe::history(std::int32_t stride) const {
  const auto it = attention_.find(history_key(stride));
  return it == attention_.end() ? std::vector<float>{} : it->second.values;
}

LayerObservation LayerProbe::observe(const ObservationRequest& request) {
  LayerObservation o;
  o.layer = layer_;
  o.n_entries = std::int32_t(n_entries_);
  o.n_head = cache_.n_head;
  o.n_head_kv = cache_.n_head_kv;
  if (request.queries != Queries::none) {
    const AttentionSum& sum = attention_[key_of(request)];
    o.attention = sum.values;
    o.n_queries = sum.n_queries;
    for (std::int32_t reader = 0; reader < cache_.n_readers; ++reader) {
      const auto stored = stored_.find(stored_key(request, reader));
      if (stored == stored_.end()) break;
      o.attention.resize(stored->second.size());
      for (std::size_t i = 0; i < o.attention.size(); ++i) o.attention[i] += stored->second[i];
      if (reader == 0) o.n_queries += request.after;
    }
  }
  if (request.keys) o.keys = std::make_shared<CacheRows>(compute_, cache_, keys_of(cache_), cells_);
  if (request.values)
    o.values =
        std::make_shared<CacheRows>(compute_, cache_, values_of(cache_, "methods that read values"), cells_);
  if (request.value_norms) {
    const RowTensor values = values_of(cache_, "value norms (vnorm=1)");
    o.value_norms = once(value_norms_, [&] { return row_norms(compute_, cache_, values, cells_); });
  }
  if (request.key_norms)
    o.key_norms = once(key_norms_, [&] { return row_norms(compute_, cache_, keys_of(cache_), cells_); });
  if (request.key_similarity)
    o.key_similarity =
        once(key_similarity_, [&] { return chunkkv::engine::key_similarity(compute_, cache_, cells_); });
  if (request.redundancy_threshold) {
    auto [it, is_new] = redundancy_.try_emplace(*request.redundancy_threshold);
    if (is_new)
      it->second = chunkkv::engine::redundancy(compute_, cache_, cells_, *request.redundancy_threshold);
    o.redundancy = it->second;
  }
  return o;
}

}  // namespace chunkkv::engine
