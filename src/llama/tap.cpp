#include "llama/tap.h"

#include <chunkkv/error.h>

#include "llama/op_params.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

namespace chunkkv::engine {
namespace {

const ggml_tensor* root_of(const ggml_tensor* t) {
  while (t->view_src != nullptr) t = t->view_src;
  return t;
}

/// "cache_k_l7" -> 7; -1 for anything else, such as the tagged caches of sliding-window models.
std::int32_t layer_named(const ggml_tensor* t, const char* prefix) {
  const std::size_t n = std::strlen(prefix);
  if (std::strncmp(t->name, prefix, n) != 0) return -1;
  char* end = nullptr;
  const long layer = std::strtol(t->name + n, &end, 10);
  return end != t->name + n && *end == '\0' ? std::int32_t(layer) : -1;
}

/// The layer whose keys `k` reads. An F32 cache reaches flash attention through a cast, so copies are
/// followed.
std::int32_t layer_of_keys(const ggml_tensor* k) {
  while (k != nullptr) {
    const ggml_tensor* root = root_of(k);
    if (const std::int32_t layer = layer_named(root, "cache_k_l"); layer >= 0) return layer;
    k = root->op == GGML_OP_CPY || root->op == GGML_OP_CONT ? root->src[0] : nullptr;
  }
  return -1;
}

}  // namespace

bool Tap::callback(ggml_tensor* node, bool ask, void* tap) {
  auto& self = *static_cast<Tap*>(tap);
  try {  // the callers are C frames
    if (ask) return self.ask(node);
    self.show(node);
  } catch (...) {
    self.error_ = std::current_exception();
    self.ignore();
  }
  return !ask;
}

void Tap::watch(std::vector<bool> layers, Handler handler) {
  wanted_ = std::move(layers);
  handler_ = std::move(handler);
}

void Tap::ignore() {
  wanted_.clear();
  product_ = nullptr;
}

void Tap::accelerate(int n_threads) {
  if (FastProducts::available()) products_ = std::make_unique<FastProducts>(n_threads);
  if (FastAttention::kernel() != nullptr) attention_ = std::make_unique<FastAttention>(n_threads);
}

void Tap::begin() {
  cells_.clear();
  mask_.clear();
}

void Tap::end() {
  learned_ = !layers_.empty();
  if (products_) products_->give_back();
  if (attention_) attention_->give_back();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool Tap::watched(std::int32_t layer) const {
  return layer >= 0 && std::size_t(layer) < wanted_.size() && wanted_[std::size_t(layer)];
}

bool Tap::ask(ggml_tensor* node) {
  switch (node->op) {
    case GGML_OP_SET_ROWS:
      on_store(node);
      return false;
    case GGML_OP_CUSTOM:  // a graph that is computed again, in one decode
      if (attention_) attention_->give_back(node);
      if (node->op != GGML_OP_FLASH_ATTN_EXT) return false;
      [[fallthrough]];
    case GGML_OP_FLASH_ATTN_EXT: {
      const bool is_wanted = on_flash_attention(node);
      if (attention_) attention_->take(node);
      return is_wanted;
    }
    case GGML_OP_MUL_MAT_ID:
      if (!learned_) survey_.add(node, false);
      return false;
    case GGML_OP_MUL_MAT:
      if (!learned_) survey_.add(node, products_ != nullptr);
      if ((!learned_ || !wanted_.empty()) && on_product(node)) return true;
      if (products_) products_->take(node);
      return false;
    case GGML_OP_SOFT_MAX:
      if (product_ != nullptr) on_soft_max(node);
      return false;
    default:
      return false;
  }
}

void Tap::on_store(const ggml_tensor* node) {
  const ggml_tensor* root = root_of(node);
  if (!learned_) {
    if (const std::int32_t k = layer_named(root, "cache_k_l"); k >= 0) {
      layers_[k].k = const_cast<ggml_tensor*>(root);
      if (first_store_ == nullptr) first_store_ = root;
    } else if (const std::int32_t v = layer_named(root, "cache_v_l"); v >= 0) {
      layers_[v].v = const_cast<ggml_tensor*>(root);
      layers_[v].v_transposed = node->ne[0] == 1 && root->ne[0] != 1;
    }
  }
  if (root == first_store_) {
    if (attention_) attention_->forget_masks();  // those of this graph are new
    const ggml_tensor* rows = node->src[1];
    std::vector<std::int64_t> cells(std::size_t(ggml_nelements(rows)));
    ggml_backend_tensor_get(rows, cells.data(), 0, cells.size() * sizeof(cells[0]));
    cells_.insert(cells_.end(), cells.begin(), cells.end());
  }
  if (!learned_ || !wanted_.empty() || !hidden_.empty())
    if (const std::int32_t k = layer_named(root, "cache_k_l"); k >= 0) last_stored_layer_ = k;
}

void Tap::learn(std::int32_t layer, const ggml_tensor* q) {
  const auto it = layers_.find(layer);
  if (it == layers_.end() || it->second.k == nullptr) return;
  it->second.n_head = std::int32_t(q->ne[2]);
  it->second.n_head_kv = std::int32_t(it->second.k->ne[0] / q->ne[0]);
}

bool Tap::on_flash_attention(ggml_tensor* node) {
  if (learned_ && wanted_.empty() && hidden_.empty()) return false;
  const std::int32_t named = layer_of_keys(node->src[1]);
  // A copy that the scheduler made for another device has no sources; the keys were stored just before.
  const std::int32_t layer = named >= 0 ? named : last_stored_layer_;
  if (!learned_) {
    learn(layer, node->src[0]);
    if (const auto it = layers_.find(layer); it != layers_.end()) it->second.head_dim_v = node->src[2]->ne[0];
  }
  if (hidden_.empty()) return watched(layer);
  hide_cells(node->src[3], layer);
  return true;  // so that this layer is computed before the next one's mask is written
}

/// The engine's mask is the same for all layers. It is changed between their attention operations.
void Tap::hide_cells(const ggml_tensor* mask, std::int32_t layer) {
  if (mask == nullptr || mask->type != GGML_TYPE_F16 || !ggml_is_contiguous(mask))
    throw Error("the cells of single layers cannot be hidden from this model's attention");
  const std::size_t n_kv = std::size_t(mask->ne[0]);
  if (mask_.empty()) {
    mask_.resize(std::size_t(ggml_nelements(mask)));
    ggml_backend_tensor_get(mask, mask_.data(), 0, ggml_nbytes(mask));
  }
  std::vector<ggml_fp16_t> values = mask_;
  const ggml_fp16_t unseen = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  for (const std::int32_t cell : hidden_.at(std::size_t(layer)))
    for (std::size_t row = 0; row < values.size(); row += n_kv)
      if (std::size_t(cell) < n_kv) values[row + std::size_t(cell)] = unseen;
  ggml_backend_tensor_set(const_cast<ggml_tensor*>(mask), values.data(), 0, ggml_nbytes(mask));
  if (attention_) attention_->forget_masks();
}

bool Tap::on_product(ggml_tensor* node) {
  const std::int32_t layer = layer_of_keys(node->src[0]);
  if (layer < 0) return false;
  // Values that are part of the keys are multiplied as a transposed copy.
  if (layers_[layer].v == nullptr && node->src[0]->op == GGML_OP_CONT) return false;
  if (!learned_) learn(layer, node->src[1]);
  if (!watched(layer)) return false;
  product_ = node;
  return true;  // so that the query is computed, and nothing after it, when the soft max is asked about
}

void Tap::on_soft_max(ggml_tensor* node) {
  const ggml_tensor* product = std::exchange(product_, nullptr);
  if (node->src[0] != product)
    throw Error(
        "this model caps its attention logits, which can only be observed with flash attention (-fa on)");
  handler_({.layer = layer_of_keys(product->src[0]),
            .q = product->src[1],
            .mask = node->src[1],
            .sinks = node->src[2],
            .scale = op_float(node, 0),
            .max_bias = op_float(node, 1),
            .softcap = 0,
            .n_kv = product->ne[0],
            .computed = nullptr});
}

void Tap::show(ggml_tensor* node) {
  if (attention_) attention_->give_back(node);
  if (node->op != GGML_OP_FLASH_ATTN_EXT) return;  // without flash attention the soft max's question shows it
  const std::int32_t named = layer_of_keys(node->src[1]);
  if (!watched(named >= 0 ? named : last_stored_layer_)) return;  // only computed apart
  handler_({.layer = named >= 0 ? named : last_stored_layer_,
            .q = node->src[0],
            .mask = node->src[3],
            .sinks = node->src[4],
            .scale = op_float(node, 0),
            .max_bias = op_float(node, 1),
            .softcap = op_float(node, 2),
            .n_kv = node->src[1]->ne[1],
            .computed = attention_ ? attention_->computed(node) : nullptr});
}

}  // namespace chunkkv::engine
