#include "llama/cache_layers.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace chunkkv::engine {
namespace {

/// "cache_k_l7" -> 7; -1 for anything else.
std::int32_t layer_named(const ggml_tensor* t, const char* prefix) {
  const std::size_t n = std::strlen(prefix);
  if (std::strncmp(t->name, prefix, n) != 0) return -1;
  char* end = nullptr;
  const long layer = std::strtol(t->name + n, &end, 10);
  return end != t->name + n && *end == '\0' ? std::int32_t(layer) : -1;
}

/// The device that a copy of a graph's input was made for, "DEVICE#NAME#NUMBER"; empty for an original.
std::string device_of_copy(const ggml_tensor* t) {
  const std::string name = t->name;
  return name.substr(0, name.find('#') == std::string::npos ? 0 : name.find('#'));
}

/// Number of cells that the last query of a mask may see.
std::int64_t visible_cells(const ggml_tensor* mask) {
  const auto n = std::size_t(mask->ne[0]);
  const std::size_t offset = std::size_t(mask->ne[1] - 1) * mask->nb[1];
  const auto count = [&](auto bits, auto to_float) {
    bits.resize(n);
    ggml_backend_tensor_get(mask, bits.data(), offset, n * sizeof bits[0]);
    return std::count_if(bits.begin(), bits.end(), [&](auto x) { return std::isfinite(to_float(x)); });
  };
  if (mask->type == GGML_TYPE_F16) return count(std::vector<ggml_fp16_t>{}, ggml_fp16_to_fp32);
  return mask->type == GGML_TYPE_F32 ? count(std::vector<float>{}, [](float x) { return x; }) : 0;
}

}  // namespace

std::int32_t CacheLayers::model_number_of(const ggml_tensor* k) {
  // An F32 cache reaches flash attention through a cast, so copies are followed.
  while (k != nullptr) {
    const ggml_tensor* root = root_of(k);
    if (const std::int32_t layer = layer_named(root, "cache_k_l"); layer >= 0) return layer;
    k = root->op == GGML_OP_CPY || root->op == GGML_OP_CONT ? root->src[0] : nullptr;
  }
  return -1;
}

std::int32_t CacheLayers::number_of(const ggml_tensor* k) const {
  const std::int32_t number = model_number_of(k);
  if (!is_known_) return number;
  const std::vector<std::int32_t>& kept = parts_.compressed;
  const auto found = std::lower_bound(kept.begin(), kept.end(), number);
  return found == kept.end() || *found != number ? -1 : std::int32_t(found - kept.begin());
}

bool CacheLayers::has_values(const ggml_tensor* k) const {
  const std::int32_t number = number_of(k);
  if (!is_known_) return seen_.contains(number) && seen_.at(number).layer.v != nullptr;
  // For layers with a window the answer does not matter.
  return number < 0 || kept_[std::size_t(number)].v != nullptr;
}

void CacheLayers::add_store(const ggml_tensor* node) {
  if (is_known_ || is_second_) return;
  const ggml_tensor* root = root_of(node);
  if (const std::int32_t k = layer_named(root, "cache_k_l"); k >= 0) {
    seen_[k].layer.k = const_cast<ggml_tensor*>(root);
    seen_[k].cells = node->src[1];
    seen_[k].device = device_of_copy(node->src[1]);
    if (first_store_ == nullptr) first_store_ = root;
  } else if (const std::int32_t v = layer_named(root, "cache_v_l"); v >= 0) {
    seen_[v].layer.v = const_cast<ggml_tensor*>(root);
    seen_[v].layer.v_transposed = node->ne[0] == 1 && root->ne[0] != 1;
  }
}

void CacheLayers::add(const ggml_tensor* node) {
  if (is_known_ || is_second_ || node->view_src == nullptr) return;
  const ggml_tensor* root = root_of(node);
  for (const char* prefix : {"cache_r_l", "cache_s_l"})
    if (const std::int32_t layer = layer_named(root, prefix); layer >= 0) {
      states_.insert(layer);
      if (state_tensors_.insert(root).second) parts_.fixed_bytes += ggml_nbytes(root);
    }
}

void CacheLayers::add_attention(const ggml_tensor* k, const ggml_tensor* q, const ggml_tensor* mask,
                                std::int64_t depth_v) {
  if (is_known_) return;
  const auto found = seen_.find(model_number_of(k));
  if (found == seen_.end() || found->second.layer.k == nullptr) return;
  Seen& seen = found->second;
  if (is_second_) {
    seen.n_visible = mask == nullptr ? 0 : visible_cells(mask);
    return;
  }
  ++seen.layer.n_readers;
  seen.layer.n_head = std::int32_t(q->ne[2]);
  seen.layer.n_head_kv = std::int32_t(seen.layer.k->ne[0] / q->ne[0]);
  seen.layer.head_dim_v = depth_v;
}

std::vector<CacheLayers::Group> CacheLayers::groups() const {
  std::map<const ggml_tensor*, Group> by_list;
  for (const auto& [number, seen] : seen_) by_list[seen.cells].push_back(number);
  std::vector<Group> result;
  for (const auto& [cells, group] : by_list) result.push_back(group);
  return result;
}

void CacheLayers::end_decode() {
  if (is_known_ || seen_.empty()) return;
  const std::vector<Group> all = groups();
  const auto size = [&](const Group& group) {
    const Seen& seen = seen_.at(group.front());
    return is_second_ ? seen.n_visible : seen.layer.k == nullptr ? 0 : seen.layer.n_cells();
  };
  std::int64_t least = size(all[0]), most = least;
  for (const Group& group : all) least = std::min(least, size(group)), most = std::max(most, size(group));
  if (!is_second_ && all.size() > 1 && least == most) {
    is_second_ = true;
    return;
  }
  std::vector<Group> largest;
  for (const Group& group : all)
    if (size(group) == most) largest.push_back(group);
  take_as_kept(largest);
}

void CacheLayers::settle_without_windows() {
  if (is_ambiguous()) take_as_kept(groups());
}

/// Takes `groups` together as the layers that keep every token: each device has a copy of one list of cells.
/// Two lists on one device are a kind of cache that is not known here; then none is taken.
void CacheLayers::take_as_kept(const std::vector<Group>& groups) {
  Group group;
  std::set<std::string> devices;
  for (const Group& each : groups) {
    if (!devices.insert(seen_.at(each.front()).device).second) return;
    group.insert(group.end(), each.begin(), each.end());
  }
  std::sort(group.begin(), group.end());
  parts_.compressed = group;
  parts_.n_state = std::int32_t(states_.size());
  for (const auto& [number, seen] : seen_) {
    parts_.n_shared += std::max(0, seen.layer.n_readers - 1);
    if (std::binary_search(group.begin(), group.end(), number)) {
      kept_.push_back(seen.layer);
      parts_.n_head_kv.push_back(seen.layer.n_head_kv);
      parts_.has_values = parts_.has_values && seen.layer.v != nullptr;
      continue;
    }
    ++parts_.n_window;
    parts_.window_cells = std::int32_t(seen.layer.n_cells());
    for (const ggml_tensor* rows : seen.layer.tensors()) parts_.fixed_bytes += ggml_nbytes(rows);
  }
  seen_.clear();
  is_known_ = true;
}

}  // namespace chunkkv::engine
