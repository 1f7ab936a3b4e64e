#include "llama/tap.h"

#include <chunkkv/error.h>

#include "llama/nodes.h"

#include <utility>

namespace chunkkv::engine {
bool Tap::callback(ggml_tensor* node, bool ask, void* tap) {
  auto& self = *static_cast<Tap*>(tap);
  try {  // exceptions must not cross the engine's C frames
    if (ask) return self.ask(node);
    self.show(node);
  } catch (...) {
    self.error_ = std::current_exception();
    self.wanted_.clear();
    self.kq_product_ = nullptr;
  }
  return !ask;
}

void Tap::accelerate(int n_threads) {
  if (FastProducts::available()) products_ = std::make_unique<FastProducts>(n_threads);
  if (FastRows::available()) rows_ = std::make_unique<FastRows>();
  if (FastAttention::kernel() != nullptr) attention_ = std::make_unique<FastAttention>(n_threads);
}

void Tap::begin(DecodeOptions options) {
  wanted_ = std::move(options.layers);
  sums_ = std::move(options.sums);
  handler_ = std::move(options.handler);
  mask_.begin(std::move(options.hidden));
  cells_.clear();
  begin_graph();
}

void Tap::begin_graph() {
  kq_product_ = nullptr;
  n_before_graph_ = cells_.size();
  n_readers_seen_.assign(cache_.kept().size(), 0);
  mask_.begin_graph();
  if (attention_) attention_->forget_masks();  // this graph has masks of its own
}

void Tap::end() {
  is_surveyed_ = true;
  cache_.end_decode();
  if (products_) products_->restore();
  if (rows_) rows_->restore();
  if (attention_) attention_->restore();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool Tap::has(const std::vector<bool>& layers, std::int32_t layer) {
  return layer >= 0 && std::size_t(layer) < layers.size() && layers[std::size_t(layer)];
}

bool Tap::ask(ggml_tensor* node) {
  if (!cache_.is_known()) cache_.add(node);
  if (rows_) rows_->take(node);
  if (products_) products_->see(node);
  switch (node->op) {
    case GGML_OP_SET_ROWS:
      on_store(node);
      return false;
    case GGML_OP_CUSTOM:  // a graph that is computed again in the same decode
      if (attention_) attention_->restore(node);
      if (node->op != GGML_OP_FLASH_ATTN_EXT) return false;
      [[fallthrough]];
    case GGML_OP_FLASH_ATTN_EXT: {
      const bool is_wanted = on_flash_attention(node);
      if (attention_) attention_->take(node, is_wanted && has(sums_, layer_of(node->src[1])));
      return is_wanted;
    }
    case GGML_OP_MUL_MAT_ID:
      if (!is_surveyed_) survey_.add(node, products_ != nullptr);
      if (products_) products_->take(node);
      return false;
    case GGML_OP_MUL_MAT:
      if (!is_surveyed_) survey_.add(node, products_ != nullptr);
      if ((!cache_.is_known() || !wanted_.empty()) && on_product(node)) return true;
      if (products_) products_->take(node);
      return false;
    case GGML_OP_SOFT_MAX:
      if (kq_product_ != nullptr) on_soft_max(node);
      return false;
    default:
      return false;
  }
}

void Tap::on_store(const ggml_tensor* node) {
  cache_.add_store(node);
  const ggml_tensor* root = root_of(node);
  if (root == cache_.first_store() && !cells_.empty()) begin_graph();  // the next graph of this decode
  if (root == cache_.first_kept_store()) {
    const ggml_tensor* rows = node->src[1];
    std::vector<std::int64_t> cells(std::size_t(ggml_nelements(rows)));
    ggml_backend_tensor_get(rows, cells.data(), 0, cells.size() * sizeof(cells[0]));
    cells_.insert(cells_.end(), cells.begin(), cells.end());
  }
  if (!cache_.is_known() || !wanted_.empty() || mask_.hides())
    if (CacheLayers::model_number_of(root) >= 0) last_stored_layer_ = cache_.number_of(root);
}

std::int32_t Tap::layer_of(const ggml_tensor* k) const {
  // A copy that the scheduler made for another device has no sources. Its layer is the one stored last.
  return CacheLayers::model_number_of(k) >= 0 ? cache_.number_of(k) : last_stored_layer_;
}

bool Tap::on_flash_attention(ggml_tensor* node) {
  if (!cache_.is_known()) cache_.add_attention(node->src[1], node->src[0], node->src[3], node->src[2]->ne[0]);
  if (wanted_.empty() && !mask_.hides()) return false;
  const std::int32_t layer = layer_of(node->src[1]);
  if (!mask_.hides() || layer < 0) return has(wanted_, layer);
  mask_.write(node->src[3], layer);
  if (attention_) attention_->forget_masks();
  return true;  // so that this layer is computed before the next one's mask is written
}

bool Tap::on_product(ggml_tensor* node) {
  const ggml_tensor* k = node->src[0];
  if (CacheLayers::model_number_of(k) < 0) return false;
  // A transposed copy of keys is the values, where these are part of the keys: this product is not K q.
  if (k->op == GGML_OP_CONT && !cache_.has_values(k)) return false;
  if (!cache_.is_known()) {
    kq_product_ = node;
    return false;
  }
  if (!has(wanted_, cache_.number_of(k))) return false;
  kq_product_ = node;
  return true;  // so that the query is computed, and nothing after it, when the soft max is asked about
}

void Tap::on_soft_max(ggml_tensor* node) {
  const ggml_tensor* product = std::exchange(kq_product_, nullptr);
  if (!cache_.is_known()) {
    cache_.add_attention(product->src[0], product->src[1], node->src[1], 0);
    return;
  }
  if (node->src[0] != product)
    throw Error(
        "this model caps its attention logits, which can only be observed with flash attention (-fa on)");
  show_to_handler({.layer = cache_.number_of(product->src[0]),
                   .q = product->src[1],
                   .mask = node->src[1],
                   .sinks = node->src[2],
                   .scale = op_float(node, 0),
                   .max_bias = op_float(node, 1),
                   .n_kv = product->ne[0]});
}

void Tap::show(ggml_tensor* node) {
  if (attention_) attention_->restore(node);
  if (node->op != GGML_OP_FLASH_ATTN_EXT) return;  // without flash attention `on_soft_max` shows it
  const std::int32_t layer = layer_of(node->src[1]);
  if (!has(wanted_, layer)) return;  // it was asked for only because of its mask
  const kernels::AttentionTask* task = attention_ ? attention_->computed(node) : nullptr;
  show_to_handler({.layer = layer,
                   .q = node->src[0],
                   .mask = node->src[3],
                   .sinks = node->src[4],
                   .scale = op_float(node, 0),
                   .max_bias = op_float(node, 1),
                   .softcap = op_float(node, 2),
                   .n_kv = node->src[1]->ne[1],
                   .kernel_task = task,
                   .received = task != nullptr ? attention_->received(*task) : std::span<const float>{}});
}

void Tap::show_to_handler(Attention attention) {
  std::int32_t& n = n_readers_seen_[std::size_t(attention.layer)];
  attention.reader = n++;
  attention.is_last = n == cache_.kept()[std::size_t(attention.layer)].n_readers;
  handler_(attention);
}

}  // namespace chunkkv::engine
