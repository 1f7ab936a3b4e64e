#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace chunkkv {

/// One value for each entry, layer and head that outlives compression: the sum of the attention that the
/// entry received from all queries so far, for methods that accumulate it (H2O), or the entry's highest
/// score. Values follow their entries: compression gathers them, new entries start at 0.
///
/// Sums are found by a key: layer + 65536 (stride - 1), where every stride-th query was summed.
class AttentionHistory {
 public:
  static std::int32_t key(std::int32_t layer, std::int32_t stride) { return layer + ((stride - 1) << 16); }
  static std::size_t layer_of(std::int32_t key) { return std::size_t(key & 0xFFFF); }

  bool empty() const { return sums_.empty(); }
  /// Returns sums as [n_head][n_entries], with columns cut off or added as 0; empty where nothing was summed.
  std::vector<float> sums(std::int32_t key, std::int32_t n_entries) const;
  void set(std::int32_t key, std::vector<float> sums, std::int32_t n_entries);

  /// Keeps only the columns of the kept entries; a layer has one list for all heads, or one a KV head.
  void keep(std::span<const LayerKept> layers);
  /// Keeps the first `n_entries` columns.
  void truncate(std::int32_t n_entries);

  std::map<std::int32_t, std::vector<float>> columns(std::int32_t n_entries) const;

 private:
  struct Sums {
    std::vector<float> values;  // [n_head][n_entries]
    std::int32_t n_entries = 0;
  };
  std::map<std::int32_t, Sums> sums_;
};

}  // namespace chunkkv
