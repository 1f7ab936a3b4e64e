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
class AttentionHistory {
 public:
  bool empty() const { return sums_.empty(); }
  /// `layer`'s sums, [n_head][n_entries], as many columns as asked for; empty where nothing was summed.
  std::vector<float> sums(std::int32_t layer, std::int32_t n_entries) const;
  void set(std::int32_t layer, std::vector<float> sums, std::int32_t n_entries);

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
