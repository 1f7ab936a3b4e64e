#pragma once

#include <chunkkv/observation.h>

#include "llama/attention_sums.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace chunkkv::engine {

/// Computes what methods ask to observe of one layer. What several methods ask for is computed once.
class LayerProbe {
 public:
  /// `cells`: the cell of every entry read so far. It grows to `n_entries` with the prompt and must outlive
  /// the probe.
  LayerProbe(Compute& compute, const CacheLayer& cache, std::int32_t layer,
             const std::vector<std::int32_t>& cells, std::int32_t n_entries);

  /// Adds the attention of `queries`, numbered among the tokens that `attention` is shown for, to what
  /// `observe` returns for `request`, which must ask for attention. With group_max_past, entries from
  /// `first_window_entry` on are hidden.
  void add_attention(const ObservationRequest& request, const Attention& attention, QueryRange queries,
                     std::int32_t first_window_entry);

  /// Copies the query of the answer's step `index`, counted from 0, to the host.
  void store_query(const Attention& attention, std::size_t index);
  /// Adds the attention of the first `request.after` stored queries to what `observe` returns for `request`.
  /// `attention`: the current step's. With group_max_past, entries from `first_window_entry` on are hidden.
  void add_stored(const ObservationRequest& request, const Attention& attention,
                  std::int32_t first_window_entry);

  /// Returns what `request` asks for. To be called when all entries are read.
  LayerObservation observe(const ObservationRequest& request);

  /// Sets the attention sums of every `stride`-th query that earlier passes collected, [n_head][n_entries];
  /// does nothing if they are empty.
  void set_history(std::int32_t stride, std::vector<float> sums);
  /// Returns these sums with this pass's attention added; empty where there are none.
  std::vector<float> history(std::int32_t stride) const;

  /// Requests with the same key read the same attention: kind, window (0 for all queries) and stride.
  using AttentionKey = std::tuple<AttentionKind, std::int32_t, std::int32_t>;
  static AttentionKey key_of(const ObservationRequest& request);

 private:
  struct AttentionSum {
    std::vector<float> values;
    std::int32_t n_queries = 0;
  };
  /// Identifies a sum over stored queries: kind, number of queries, window that group_max_past hides (0 for
  /// the other kind), and reader of the layer's rows.
  using StoredKey = std::tuple<AttentionKind, std::int32_t, std::int32_t, std::int32_t>;
  static StoredKey stored_key(const ObservationRequest& request, std::int32_t reader);
  /// The cells that group_max_past sees, as flags [n_kv]; empty for a request of the other kind.
  std::vector<std::uint8_t> past(const ObservationRequest& request, std::int64_t n_kv,
                                 std::int32_t first_window_entry) const;

  /// Adds sums by cell, [heads][n_kv], to sums by entry, [heads][n_entries], which may be empty at first.
  void add_by_entry(std::span<const float> by_cell, std::int64_t n_kv, std::vector<float>& sums) const;

  Compute& compute_;
  const CacheLayer& cache_;
  std::int32_t layer_;
  const std::vector<std::int32_t>& cells_;
  std::size_t n_entries_;
  std::map<AttentionKey, AttentionSum> attention_;
  std::vector<StoredQueries> queries_;  // by reader of the layer's rows
  std::map<StoredKey, std::vector<float>> stored_;
  std::optional<std::vector<float>> value_norms_, key_norms_, key_similarity_;
  std::map<float, std::vector<float>> redundancy_;
};

}  // namespace chunkkv::engine
