#pragma once

#include <chunkkv/session.h>

#include "llama/compute.h"
#include "llama/handles.h"
#include "llama/tap.h"
#include "llama/thread_pool.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// The engine's context of one session with its tap, threads and devices. All sequences share one
/// stream of cells; one sequence more than asked for exists, as scratch for `Relocation`.
class Context {
 public:
  Context(const Model& model, const SessionOptions& options);

  /// Reads tokens at positions first, first + 1, ... and returns their cells. Error when no cells are
  /// free. At most n_ubatch tokens.
  std::vector<std::int32_t> decode(std::span<const Token> tokens, Position first, SequenceId sequence,
                                   bool all_logits = false);
  /// Reads one token of each of several sequences, together; returns their cells. All logits are computed.
  std::vector<std::int32_t> decode(std::span<const Token> tokens, std::span<const Position> positions,
                                   std::span<const SequenceId> sequences);
  /// Logits of a token of the last decode, [n_vocab]; -1: the last one's. Empty before the first.
  std::span<const float> logits(std::int32_t index = -1) const;

  /// Frees the cells of `sequence` with positions in [from, to); `to` < 0: no end. Error where the engine
  /// refuses, with all as it was.
  void remove(SequenceId sequence, Position from, Position to);

  /// Gives `to` the cells of `from` with positions below `end`, too.
  void share(SequenceId from, SequenceId to, Position end);
  /// Frees the cells of `sequence` that hold `positions` and gives the sequence as many of the lowest free
  /// cells instead, with the same positions and contents, in the same order: `positions` are listed by
  /// ascending cell. At most `at_once` cells are held in host memory.
  void relocate(SequenceId sequence, std::span<const Position> positions, std::size_t at_once);

  /// What the layers that do not keep every token hold of `sequence`, windows and states, and back. Empty
  /// where there are none.
  std::vector<std::byte> fixed_part(SequenceId sequence) const;
  void set_fixed_part(SequenceId sequence, std::span<const std::byte> part);
  bool has_fixed_part() const;
  const CacheParts& parts() const { return parts_; }
  /// Whether layers have a state, which cannot go back: only all of a sequence, or what is older than its
  /// newest token, can be dropped.
  bool has_state() const { return parts_.n_state > 0; }

  /// Adds `delta` to the positions of `sequence` in [from, to); its keys are turned before the next decode.
  void shift(SequenceId sequence, Position from, Position to, Position delta);
  bool can_shift() const;
  /// Forgets all sequences and logits.
  void clear();

  /// Cells that attention must not see in the next decode, by layer; empty: none.
  void hide(const std::vector<std::vector<std::int32_t>>& cells) { tap_.hide(cells); }

  /// The engine's own copy of a sequence, and back. Error when it is not from such a cache or does not fit.
  std::vector<std::byte> state(SequenceId sequence) const;
  /// `positions`: of the state's cells, in their order.
  void set_state(SequenceId sequence, std::span<const std::byte> state, std::span<const Position> positions);
  /// The state with rows of this cache's types.
  std::vector<std::byte> converted(std::span<const std::byte> state,
                                   std::span<const Position> positions) const;

  /// Gives the memory of the cells from `first` on back to the operating system where the cache lies in
  /// ordinary host memory. Their contents become zero.
  void release_cells(std::int32_t first);

  llama_context* handle() const { return context_.get(); }
  Tap& tap() { return tap_; }
  const Tap& tap() const { return tap_; }
  /// The engine's bound, less the scratch sequence.
  static std::int32_t most_sequences() { return std::int32_t(llama_max_parallel_sequences()) - 1; }
  Compute& compute() { return compute_; }
  static std::uint64_t cell_bytes(const CacheLayer& layer);
  std::int32_t n_cells() const;
  std::int32_t n_ubatch() const;
  std::int32_t n_threads() const { return pool_.n_threads(); }
  std::int32_t n_layer() const { return std::int32_t(parts_.compressed.size()); }

 private:
  /// Decodes one token and forgets it, so that the tap knows the cache from the start.
  void learn_cache(std::int32_t window);
  std::vector<std::int32_t> decode(const llama_batch& batch);
  std::size_t extension() const;  ///< see `cell_extension`

  bool has_logits_ = false;
  ThreadPool pool_;
  Tap tap_;
  Compute compute_{pool_};
  ContextHandle context_;
  SequenceId scratch_;
  std::int32_t n_vocab_;
  CacheParts parts_;
};

}  // namespace chunkkv::engine
