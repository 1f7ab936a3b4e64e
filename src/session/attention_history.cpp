#include "session/attention_history.h"

#include <algorithm>

namespace chunkkv {
namespace {

/// [heads][from] -> [heads][to]; new columns are 0.
std::vector<float> with_columns(std::span<const float> values, std::int32_t from, std::int32_t to) {
  const std::size_t heads = from > 0 ? values.size() / std::size_t(from) : 0;
  std::vector<float> result(heads * std::size_t(to));
  for (std::size_t h = 0; h < heads; ++h)
    std::copy_n(values.begin() + std::ptrdiff_t(h * std::size_t(from)), std::min(from, to),
                result.begin() + std::ptrdiff_t(h * std::size_t(to)));
  return result;
}

}  // namespace

std::vector<float> AttentionHistory::sums(std::int32_t key, std::int32_t n_entries) const {
  const auto it = sums_.find(key);
  if (it == sums_.end()) return {};
  return with_columns(it->second.values, it->second.n_entries, n_entries);
}

void AttentionHistory::set(std::int32_t key, std::vector<float> sums, std::int32_t n_entries) {
  sums_[key] = {std::move(sums), n_entries};
}

void AttentionHistory::keep(std::span<const LayerKept> layers) {
  for (auto& [key, sums] : sums_) {
    const auto& lists = layers[layer_of(key)].heads;
    const std::size_t heads = sums.values.size() / std::size_t(sums.n_entries);
    const std::size_t group = heads / lists.size();
    std::vector<float> kept;
    for (std::size_t h = 0; h < heads; ++h)
      for (const std::int32_t entry : lists[h / group])
        kept.push_back(entry < sums.n_entries
                           ? sums.values[h * std::size_t(sums.n_entries) + std::size_t(entry)]
                           : 0.0f);
    sums.values = std::move(kept);
    sums.n_entries = std::int32_t(lists.front().size());
  }
}

void AttentionHistory::truncate(std::int32_t n_entries) {
  if (n_entries == 0) sums_.clear();
  for (auto& [key, sums] : sums_) {
    if (n_entries >= sums.n_entries) continue;
    sums.values = with_columns(sums.values, sums.n_entries, n_entries);
    sums.n_entries = n_entries;
  }
}

std::map<std::int32_t, std::vector<float>> AttentionHistory::columns(std::int32_t n_entries) const {
  std::map<std::int32_t, std::vector<float>> result;
  for (const auto& [key, unused] : sums_) result[key] = sums(key, n_entries);
  return result;
}

}  // namespace chunkkv
