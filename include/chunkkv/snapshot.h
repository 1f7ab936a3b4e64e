#pragma once

#include <chunkkv/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace chunkkv {

/// A copy of a sequence in host memory: its part of the cache, byte for byte, and what is known of it. It may
/// be restored as often as wanted, into any session over the same model with the same cache types.
struct Snapshot {
  std::vector<Token> tokens;  ///< every token that was read, by position, including dropped ones
  std::int32_t n_entries = 0;
  /// True positions of the first entries, [layer][1 or n_head_kv][entry], as many as the last compression
  /// kept. Later entries have consecutive positions up to the newest token. Empty when nothing was dropped.
  std::vector<std::vector<std::vector<Position>>> positions;
  std::vector<std::int32_t> order;       ///< [entry]: rank of its cell among the sequence's cells
  std::vector<Position> cell_positions;  ///< [entry]: the engine's position of its cell
  std::vector<std::byte> state;          ///< keys and values, windows and states, in the engine's own format
  /// Attention that the entries received from all queries so far, or from every stride-th, as sums
  /// [n_head][n_entries] by key: layer + 65536 (stride - 1). Empty where no plan reads it.
  std::map<std::int32_t, std::vector<float>> attention;
};

/// A place in a sequence to go back to. Windows and states do not keep what they held there, so a model with
/// such layers needs a copy of them; for other models a checkpoint is only a length.
struct Checkpoint {
  std::int32_t n_entries = 0;
  Position next = 0;             ///< position of the next token
  std::vector<std::byte> fixed;  ///< windows and states, in the engine's own format
};

}  // namespace chunkkv
