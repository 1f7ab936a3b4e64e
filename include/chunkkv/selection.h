#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

enum class ChunkRule : std::uint8_t {
  /// Exactly the budget; the last chunk taken is cut to its first entries.
  exact,
  /// floor((budget - protected) / chunk) chunks of the unprotected part (arXiv 2502.00299, Alg. 1). Keeps
  /// fewer entries when the short last chunk is among them: see `equalize`.
  paper,
  /// The grid of chunks covers all entries; the max(1, floor(n_chunks * share)) chunks with the highest
  /// mean are kept, chunks of protected entries first (as NVIDIA kvpress' ChunkKVPress, which raises
  /// scores to the same end).
  kvpress,
};

enum class ChunkScore : std::uint8_t { sum, mean };

/// How the shared selection turns one head's scores into a kept set.
struct SelectionRule {
  std::int32_t first = 0;  ///< entries at the beginning that are always kept (attention sinks)
  std::int32_t last = 0;   ///< entries at the end that are always kept (observation window, recent tokens)
  std::int32_t chunk = 1;  ///< unit of selection in entries
  ChunkScore chunk_score = ChunkScore::sum;
  ChunkRule rule = ChunkRule::exact;

  bool operator==(const SelectionRule&) const = default;
};

/// How many of the entries a selection keeps; given to methods whose rule depends on it.
struct Target {
  std::int32_t n_entries = 0;
  std::int32_t budget = 0;  ///< entries to keep, 1 .. n_entries
  double share = 1.0;       ///< the share asked for; budget / n_entries where a number was asked for
};

/// Chunks of a grid over all entries, and how many of them ChunkRule::kvpress keeps.
struct ChunkCount {
  std::int32_t all = 0;
  std::int32_t kept = 0;
};
ChunkCount kvpress_chunks(const Target& target, std::int32_t chunk);

/// UsageError when `target` or `rule` is not allowed, or the protected entries do not fit into the budget:
/// then `select` would refuse any scores. O(1).
void check_selection(const Target& target, const SelectionRule& rule);

/// Returns the kept set of one head's scores, ascending and unique, with all protected entries; of equal
/// scores the lower index is kept. It has exactly `target.budget` entries with ChunkRule::exact. UsageError
/// when the protected entries do not fit into the budget, Error when a score is not finite. O(n).
std::vector<std::int32_t> select(std::span<const float> scores, const Target& target,
                                 const SelectionRule& rule);

/// Returns the kept sets of one layer, a list for each head of `scores`. Throws what `select` throws.
LayerKept select_layer(std::int32_t layer, const Scores& scores, const Target& target,
                       const SelectionRule& rule);

/// Gives all lists the length of the longest, as a cache needs them, by adding the newest entries that a
/// shorter list lacks. Lengths differ with ChunkRule::paper, which keeps fewer entries in a layer that takes
/// the short last chunk than in one that does not.
void equalize(std::span<LayerKept> layers, std::int32_t n_entries);

}  // namespace chunkkv
