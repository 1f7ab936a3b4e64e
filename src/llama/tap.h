#pragma once

#include "llama/attention.h"
#include "llama/cache_layers.h"
#include "llama/cell_mask.h"
#include "llama/fast_attention.h"
#include "llama/fast_products.h"
#include "llama/handles.h"
#include "llama/weight_survey.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace chunkkv::engine {

/// The eval callback of one context: learns the cache's tensors, records the cell of every token, and
/// shows the attention of watched layers. It goes by operations, not by a model's tensor names.
class Tap {
 public:
  using Handler = std::function<void(const Attention&)>;

  /// For llama_context_params::cb_eval, with the tap as user data.
  static bool callback(ggml_tensor* node, bool ask, void* tap);

  /// Computes products and attention of the decodes to come with our own kernels, as far as there are some
  /// for this processor.
  void accelerate(int n_threads);

  /// What a decode is to show, and to hide.
  struct Wishes {
    std::vector<bool> layers = {};  ///< whose attention `handler` gets, by number; empty: none
    Handler handler = {};
    std::vector<std::vector<std::int32_t>> hidden = {};  ///< see CellMask
  };
  /// Starts a decode: forgets the cells of the last one.
  void begin(Wishes wishes);
  /// Ends a decode: rethrows what a handler threw.
  void end();

  /// Cells of the tokens of the last decode, in batch order; while it runs, of those up to the graph in work.
  const std::vector<std::int32_t>& cells() const { return cells_; }
  /// Tokens of that decode before the graph in work.
  std::size_t n_before_graph() const { return n_before_graph_; }
  /// What the cache's layers are, known after the first decode, or after a second one.
  const CacheLayers& cache() const { return cache_; }
  void settle_without_windows() { cache_.settle_without_windows(); }
  const std::map<std::int32_t, CacheLayer>& layers() const { return cache_.kept(); }
  /// Complete after the first decode.
  const std::vector<WeightUse>& weights() const { return survey_.uses(); }

 private:
  bool ask(ggml_tensor* node);
  void show(ggml_tensor* node);
  void begin_graph();
  void on_store(const ggml_tensor* node);
  bool on_flash_attention(ggml_tensor* node);
  bool on_product(ggml_tensor* node);
  void on_soft_max(ggml_tensor* node);
  /// The layer whose keys `k` reads; -1: none that is compressed.
  std::int32_t layer_of(const ggml_tensor* k) const;
  /// Counts the readers of the layer's rows, and hands the attention on.
  void hand_on(Attention attention);
  bool watched(std::int32_t layer) const;

  CacheLayers cache_;
  bool is_surveyed_ = false;          // weights are counted in the first decode
  std::vector<std::int32_t> n_read_;  // attentions seen of each layer's rows, in this graph
  std::vector<std::int32_t> cells_;
  std::size_t n_before_graph_ = 0;
  std::int32_t last_stored_layer_ = -1;
  const ggml_tensor* product_ =
      nullptr;                // K q of the layer whose soft max comes next, without flash attention
  std::vector<bool> wanted_;  // by layer
  Handler handler_;
  CellMask mask_;
  std::unique_ptr<FastProducts> products_;
  std::unique_ptr<FastAttention> attention_;
  WeightSurvey survey_;
  std::exception_ptr error_;
};

}  // namespace chunkkv::engine
