#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace chunkkv {

/// A value of each entry by layer and head that outlives compression: what all queries so far paid to it, for
/// methods that accumulate (H2O), or its highest score. It follows the entries: compression gathers it,
/// new entries start at 0.
///
/// Sums are told apart by a key: layer + 65536 (stride - 1), where every stride-th query was summed.
class AttentionHistory {
 public:
  static std::int32_t key(std::int32_t layer, std::int32_t stride) { return layer + ((stride - 1) << 16); }
  static std::size_t layer_of(std::int32_t key) { return std::size_t(key & 0xFFFF); }

  bool empty() const { return sums_.empty(); }
  /// Sums, [n_head][n_entries], as many columns as asked for; empty where nothing was summed.
  std::vector<float> sums(std::int32_t key, std::int32_t n_entries) const;
  void set(std::int32_t key, std::vector<float> sums, std::int32_t n_entries);

  /// Keeps the columns of the kept entries; one list for all heads, or one a KV head.
  void keep(std::span<const LayerKept> layers);
  /// Keeps the first columns.
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
