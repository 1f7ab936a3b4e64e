#pragma once

#include <chunkkv/cache.h>

#include "llama/handles.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace chunkkv::engine {

/// The tensor that `t` is a view of, or itself.
inline const ggml_tensor* root_of(const ggml_tensor* t) {
  while (t->view_src != nullptr) t = t->view_src;
  return t;
}

/// The cache tensors of one layer, as the engine keeps them for the life of its context.
struct CacheLayer {
  ggml_tensor* k = nullptr;  ///< [n_head_kv * head_dim_k, n_cells]
  /// [n_head_kv * head_dim_v, n_cells], or transposed without flash attention; null where values are the
  /// first numbers of the keys (latent attention).
  ggml_tensor* v = nullptr;
  std::int32_t n_head = 0;
  std::int32_t n_head_kv = 0;
  bool v_transposed = false;
  std::int64_t head_dim_v = 0;  ///< 0: unknown, as it is without flash attention
  std::int32_t n_readers = 0;   ///< layers that read these rows: more than one where layers share them

  std::int64_t n_cells() const { return k->ne[1]; }
  /// `k`, and `v` where there is one.
  std::vector<ggml_tensor*> tensors() const {
    return v != nullptr ? std::vector<ggml_tensor*>{k, v} : std::vector<ggml_tensor*>{k};
  }
  /// Bytes of one KV head's row in one cell of `t`.
  std::size_t head_bytes(const ggml_tensor* t) const { return t->nb[1] / std::size_t(n_head_kv); }
};

/// The layers of a context's cache, learnt from what its first decodes do. Layers whose rows are written by
/// the same list of cells are a group. One group keeps every token; a second one, where there is one, keeps
/// a window.
class CacheLayers {
 public:
  /// Learns from an operation that writes rows to the cache. Has no effect once the layers are known.
  void add_store(const ggml_tensor* node);
  /// Learns from an attention over `k` with these queries and mask, whose values have `depth_v` numbers (0:
  /// unknown). Has no effect once the layers are known.
  void add_attention(const ggml_tensor* k, const ggml_tensor* q, const ggml_tensor* mask,
                     std::int64_t depth_v);

  /// Learns from any operation of a decode: layers with a state are recognised by their state's tensors.
  void add(const ggml_tensor* node);

  /// Ends a decode. If two groups have equally many cells, the group that keeps every token is known only
  /// after another decode, of a token so far from its sequence's first that a window does not reach it.
  void end_decode();
  /// Settles an ambiguous cache for a model without windows: all its layers keep every token.
  void settle_without_windows();
  bool is_known() const { return is_known_; }
  bool is_ambiguous() const { return !is_known_ && !seen_.empty(); }

  /// The layers that keep every token, in the model's order.
  const std::vector<CacheLayer>& kept() const { return kept_; }
  /// What is known of all layers: everything but the tokens of a window.
  const CacheParts& parts() const { return parts_; }
  /// The number among `kept` of the layer whose keys `k` reads or writes; -1: none of them. Before the layers
  /// are known, the model's number of that layer.
  std::int32_t number_of(const ggml_tensor* k) const;
  /// Whether the layer whose keys `k` reads has rows of values besides them.
  bool has_values(const ggml_tensor* k) const;
  /// The tensor of keys that is the first to be written in every graph.
  const ggml_tensor* first_store() const { return first_store_; }
  /// The keys of the first layer of `kept`; null before the layers are known.
  const ggml_tensor* first_kept_store() const { return kept_.empty() ? nullptr : kept_.front().k; }

  /// The model's number of the layer whose keys `k` reads or writes; -1: no tensor of the cache.
  static std::int32_t model_number_of(const ggml_tensor* k);

 private:
  struct Seen {
    CacheLayer layer;
    const ggml_tensor* cells = nullptr;  // the list that says where its rows are written
    std::string device;                  // device that `cells` was copied for; empty: the original
    std::int64_t n_visible = 0;          // cells that the last query of an attention saw
  };
  using Group = std::vector<std::int32_t>;
  std::vector<Group> groups() const;
  void take_as_kept(const std::vector<Group>& groups);

  bool is_known_ = false;
  std::map<std::int32_t, Seen> seen_;  // what the first decode showed, by the model's numbers
  bool is_second_ = false;
  std::vector<CacheLayer> kept_;
  CacheParts parts_;
  std::set<std::int32_t> states_;
  std::set<const ggml_tensor*> state_tensors_;
  const ggml_tensor* first_store_ = nullptr;
};

}  // namespace chunkkv::engine
