#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// Conventions of the whole library.
///
/// - An *entry* is one cached token of a sequence, numbered 0 .. n-1 in reading order. Right after
///   prefill entry i is prompt token i; after compression entries are renumbered from 0 and
///   `Sequence::positions` tells which prompt positions they hold.
/// - Every array over heads and entries is row-major `[head][entry]`, F32.
/// - A *kept set* is ascending, unique and in range.
/// - Scores: higher is kept.
namespace chunkkv {

using Token = std::int32_t;
using Position = std::int32_t;

/// The number of a sequence in its session: 0 .. SessionOptions::n_sequences - 1.
using SequenceId = std::int32_t;

/// One layer's kept entries: one ascending list per KV head, or a single list that all heads share.
/// A cache needs lists of one length; `equalize` gives it to them where a method's rule does not.
struct LayerKept {
  std::int32_t layer = 0;
  std::vector<std::vector<std::int32_t>> heads;

  bool operator==(const LayerKept&) const = default;
};

/// One layer's token scores, `[head][entry]`; `n_heads` is 1 where the heads share one ranking.
struct Scores {
  std::int32_t n_heads = 0;
  std::int32_t n_entries = 0;
  std::vector<float> values;

  const float* head(std::int32_t h) const { return values.data() + std::size_t(h) * n_entries; }
  float* head(std::int32_t h) { return values.data() + std::size_t(h) * n_entries; }
};

}  // namespace chunkkv
