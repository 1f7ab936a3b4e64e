#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// Where the entries of one sequence lie, and which prompt positions they hold.
struct SequenceCells {
  std::vector<std::int32_t> cells;  ///< cell of each entry
  /// The engine's position of each entry's cell; the highest is next - 1.
  std::vector<Position> cell_positions;
  Position next = 0;              ///< position of the next token
  std::int32_t n_compressed = 0;  ///< first entries, kept by a compression; later positions are consecutive
  /// True positions of the compressed entries, [layer][1 or n_head_kv][entry].
  std::vector<std::vector<std::vector<Position>>> positions;

  /// Cells that a layer's attention does not see, by layer; empty where no layer hides any.
  std::vector<std::vector<std::int32_t>> hidden;

  bool is_hidden(std::size_t layer, std::int32_t entry) const;
  std::int32_t n_entries() const { return std::int32_t(cells.size()); }
  Position position(std::size_t layer, std::size_t head, std::int32_t entry) const;
  void append(std::span<const std::int32_t> new_cells);
};

/// How a sequence's cells change when `count` of its entries are kept, so that it ends in the lowest
/// cells that no other sequence holds and the engine still expects the same next position.
///
/// The rows of the kept entries are first moved into cells that the sequence already has (`Slot::row`). Cells
/// among these that lie too high (`relocated`) are then relocated through the engine; usually that is only
/// the cell with the highest position, from which the engine continues.
struct CompactionPlan {
  struct Slot {
    std::int32_t row;        ///< cell that takes the entry's row, before relocation
    std::int32_t cell;       ///< the entry's cell afterwards
    Position cell_position;  ///< the engine's position of that cell
  };
  std::int32_t n_fixed = 0;  ///< first entries that stay where they are: no row of theirs is moved
  std::vector<Slot> slots;   ///< [kept entry]; where some are dropped, by ascending `cell` after fixed ones
  std::vector<Position> relocated;  ///< positions of the cells that are relocated, by ascending cell
  struct Range {
    Position from, to;
  };
  std::vector<Range> removed;  ///< half-open ranges of positions that the engine drops
};

/// The `n` lowest cells that are not `taken`.
std::vector<std::int32_t> lowest_free(const std::vector<bool>& taken, std::size_t n);

/// How many numbers at the beginning of a list, at most `most`, are their own index.
std::size_t n_in_order(std::span<const std::int32_t> list, std::size_t most);

/// The plan that moves rows among all cells of a sequence and drops none.
CompactionPlan plan_in_place(const SequenceCells& sequence);

/// Entries in cells that other sequences hold too, which must be copied into cells of the sequence's own
/// before `count` entries are kept. All layers keep the first `n_leading` entries. `taken`: as below.
std::vector<std::int32_t> entries_to_own(const SequenceCells& sequence, std::int32_t count,
                                         const std::vector<bool>& taken, std::int32_t n_leading);

/// The plan that keeps `count` entries, 0 < count < n_entries; those of `entries_to_own` must be in cells of
/// the sequence's own. `taken`: for each cell of the cache, whether another sequence holds it; no row is
/// moved into such a cell.
CompactionPlan plan_compaction(const SequenceCells& sequence, std::int32_t count,
                               const std::vector<bool>& taken, std::int32_t n_leading);

}  // namespace chunkkv
