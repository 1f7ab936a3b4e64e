#pragma once

#include <chunkkv/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace chunkkv {

/// A sequence of a cache in host memory: what it holds, byte for byte, and what is known of it. It may be
/// restored as often as wanted, into any session over the same model with the same cache types.
struct Snapshot {
  std::vector<Token> tokens;  ///< every token that was read, by position, those that were dropped included
  std::int32_t n_entries = 0;
  /// True positions of the first entries, [layer][1 or n_head_kv][entry]: as many as the last compression
  /// kept. The others follow each other up to the newest token. Empty when nothing was dropped.
  std::vector<std::vector<std::vector<Position>>> positions;
  std::vector<std::int32_t> order;       ///< [entry]: rank of its cell among the sequence's cells
  std::vector<Position> cell_positions;  ///< [entry]: the engine's position of its cell
  std::vector<std::byte> state;          ///< the engine's own format: keys and values
  /// Sums of all queries' attention so far, or of every stride-th, by layer + 65536 (stride - 1),
  /// [n_head][n_entries]; empty where no plan reads them.
  std::map<std::int32_t, std::vector<float>> attention;
};

/// A place in a sequence to go back to. Windows and states forget what they held there, so that a model with
/// such layers needs a copy of them; with others this is nothing but a length.
struct Checkpoint {
  std::int32_t n_entries = 0;
  Position next = 0;             ///< position of the token that followed
  std::vector<std::byte> fixed;  ///< the engine's own format: windows and states
};

}  // namespace chunkkv
