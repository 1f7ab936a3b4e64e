#pragma once

#include "llama/attention.h"
#include "llama/cache_layers.h"
#include "llama/cell_mask.h"
#include "llama/fast_attention.h"
#include "llama/fast_products.h"
#include "llama/fast_rows.h"
#include "llama/handles.h"
#include "llama/weight_survey.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

namespace chunkkv::engine {

/// The eval callback of one context: learns the cache's tensors, records the cell of every token, and
/// shows the attention of watched layers. It goes by operations, not by a model's tensor names.
class Tap {
 public:
  using Handler = std::function<void(const Attention&)>;

  /// For llama_context_params::cb_eval, with the tap as its user data.
  static bool callback(ggml_tensor* node, bool ask, void* tap);

  /// From now on computes products and attention with our own kernels, as far as there are any for this
  /// processor. `n_threads`: the most threads that the engine uses.
  void accelerate(int n_threads);

  /// What a decode is to show, and to hide.
  struct DecodeOptions {
    std::vector<bool> layers = {};  ///< [n_layer] whether `handler` gets the layer's attention; empty: none
    Handler handler = {};
    std::vector<bool> sums = {};  ///< [n_layer] whether the attention of all queries is added up; empty: none
    std::vector<std::vector<std::int32_t>> hidden = {};  ///< see CellMask
  };
  /// Starts a decode: forgets the cells of the last one.
  void begin(DecodeOptions options);
  /// Ends a decode: turns the engine's operations back and rethrows what the callback caught.
  void end();

  /// Cells of the tokens of the last decode, in batch order. While it runs, they end with the current graph.
  const std::vector<std::int32_t>& cells() const { return cells_; }
  /// Number of the decode's tokens that are in graphs before the current one.
  std::size_t n_before_graph() const { return n_before_graph_; }
  /// The layers of the cache, known after the first decodes (see CacheLayers::end_decode).
  const CacheLayers& cache() const { return cache_; }
  void settle_without_windows() { cache_.settle_without_windows(); }
  const std::vector<CacheLayer>& layers() const { return cache_.kept(); }
  /// The weights that the model uses, complete after the first decode.
  const std::vector<WeightUse>& weights() const { return survey_.uses(); }

 private:
  bool ask(ggml_tensor* node);
  void show(ggml_tensor* node);
  void begin_graph();
  void on_store(const ggml_tensor* node);
  bool on_flash_attention(ggml_tensor* node);
  bool on_product(ggml_tensor* node);
  void on_soft_max(ggml_tensor* node);
  /// Number of the layer whose keys `k` reads; -1: a layer that does not keep every token.
  std::int32_t layer_of(const ggml_tensor* k) const;
  /// Counts the readers of the layer's rows, and shows the attention to the handler.
  void show_to_handler(Attention attention);
  /// Whether `layer` is one of `layers`, flags by layer or none at all.
  static bool has(const std::vector<bool>& layers, std::int32_t layer);

  CacheLayers cache_;
  bool is_surveyed_ = false;                  // the weights have been counted, in the first decode
  std::vector<std::int32_t> n_readers_seen_;  // by layer: attentions over its rows seen in this graph
  std::vector<std::int32_t> cells_;
  std::size_t n_before_graph_ = 0;
  std::int32_t last_stored_layer_ = -1;
  // K q of the layer whose soft max comes next, without flash attention.
  const ggml_tensor* kq_product_ = nullptr;
  std::vector<bool> wanted_, sums_;  // by layer
  Handler handler_;
  CellMask mask_;
  std::unique_ptr<FastProducts> products_;
  std::unique_ptr<FastRows> rows_;
  std::unique_ptr<FastAttention> attention_;
  WeightSurvey survey_;
  std::exception_ptr error_;
};

}  // namespace chunkkv::engine
