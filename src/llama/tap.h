#pragma once

#include "llama/cache_layers.h"
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

/// One layer's attention over one micro-batch, seen when its queries and keys are computed.
struct Attention {
  std::int32_t layer = 0;
  const ggml_tensor* q = nullptr;     ///< after RoPE, [head_dim, n_tokens, n_head], strided
  const ggml_tensor* mask = nullptr;  ///< [n_kv, n_tokens], -inf where a query may not see a cell
  const ggml_tensor* sinks = nullptr;
  float scale = 1;
  float max_bias = 0;
  float softcap = 0;
  std::int64_t n_kv = 0;                             ///< cells that attention reads
  const kernels::AttentionTask* computed = nullptr;  ///< by a kernel of our own; null: by the engine
  std::int32_t reader = 0;                           ///< of several layers that read this one's rows
  bool is_last = true;                               ///< no other one reads them in this micro-batch
};

/// The eval callback of one context: learns the cache's tensors, records the cell of every token, and
/// shows the attention of watched layers. It goes by operations, not by a model's tensor names.
class Tap {
 public:
  using Handler = std::function<void(const Attention&)>;

  /// For llama_context_params::cb_eval, with the tap as user data.
  static bool callback(ggml_tensor* node, bool ask, void* tap);

  /// Calls `handler` for every layer in `layers` (by layer number) until `ignore`.
  void watch(std::vector<bool> layers, Handler handler);
  void ignore();

  /// Cells that flash attention must not see until the next call, by layer; empty: none.
  void hide(const std::vector<std::vector<std::int32_t>>& cells) { hidden_ = cells; }

  /// Computes products and attention of the decodes to come with our own kernels, as far as there are some
  /// for this processor.
  void accelerate(int n_threads);

  /// Starts a decode: forgets the cells of the last one.
  void begin();
  /// Ends a decode: rethrows what a handler threw.
  void end();

  /// Cells of the tokens of the last decode, in batch order.
  const std::vector<std::int32_t>& cells() const { return cells_; }
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
  void hide_cells(const ggml_tensor* mask, std::int32_t layer);
  /// The layer whose keys `k` reads; -1: none that is compressed.
  std::int32_t layer_of(const ggml_tensor* k) const;
  /// Counts the readers of a layer's rows.
  void count_reader(Attention& attention);
  bool watched(std::int32_t layer) const;

  CacheLayers cache_;
  bool is_surveyed_ = false;          // weights are counted in the first decode
  std::vector<std::int32_t> n_read_;  // attentions seen of each layer's rows, in this graph
  std::vector<std::int32_t> cells_;
  std::int32_t last_stored_layer_ = -1;
  const ggml_tensor* product_ =
      nullptr;  // K q of the layer whose soft max comes next, without flash attention
  std::vector<std::vector<std::int32_t>> hidden_;
  std::vector<ggml_fp16_t> mask_;  // as the engine made it, while cells are hidden
  std::vector<bool> wanted_;
  Handler handler_;
  std::unique_ptr<FastProducts> products_;
  std::unique_ptr<FastAttention> attention_;
  WeightSurvey survey_;
  std::exception_ptr error_;
};

}  // namespace chunkkv::engine
