#pragma once

#include <chunkkv/session.h>

#include "llama/attention.h"
#include "llama/handles.h"
#include "llama/layer_probe.h"
#include "llama/thread_pool.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace chunkkv::engine {

class Compute;
class Tap;

/// Tokens of one sequence in a batch, at positions first, first + 1, ...
struct Segment {
  SequenceId sequence = 0;
  Position first = 0;
  std::span<const Token> tokens;
  bool all_logits = false;  ///< else the last token's
  /// Cells of the sequence that single layers' attention must not see, by layer; none where it is null or
  /// empty.
  const std::vector<std::vector<std::int32_t>>* hidden = nullptr;
  Observer* observer = nullptr;  ///< sees what the tokens attend to; null: nothing does
};

/// All that this library asks of the engine: the engine's context of one session with its tap, threads and
/// devices. All sequences share one stream of cells; one sequence more than asked for exists, as scratch for
/// `Relocation`.
class Context {
 public:
  /// UsageError for cache positions where the engine cannot turn the model's keys.
  Context(const Model& model, const SessionOptions& options);
  ~Context();

  /// Reads the tokens of all segments together and returns their cells, in order. Error when no cells are
  /// free. At most n_ubatch tokens, or one of each sequence. Throws what an observer throws.
  std::vector<std::int32_t> decode(std::span<const Segment> segments);
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

  /// Computes what methods ask to observe of a layer; for `cells`, see LayerProbe.
  std::unique_ptr<LayerProbe> probe(std::int32_t layer, const std::vector<std::int32_t>& cells,
                                    std::int32_t n_entries);
  /// The attention of `queries`, numbered among the tokens that it is shown for, by cell:
  /// [n_head][queries.count][n_kv]. For measurements; take few queries at a time.
  std::vector<float> attention_weights(const Attention& attention, QueryRange queries);
  /// Sums of the absolute values of keys and values, [n_head_kv][cells.size()].
  std::vector<float> magnitudes(std::int32_t layer, std::span<const std::int32_t> cells);

  /// False without flash attention.
  bool can_move_rows() const;
  /// Moves rows of keys and values, byte for byte: in every KV head h from cell `from[h][i]` to `to[i]`; a
  /// single list is for all heads. Sources and targets may overlap.
  void move_rows(std::int32_t layer, std::span<const std::vector<std::int32_t>> from,
                 std::span<const std::int32_t> to);

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
  /// The engine's bound, less the scratch sequence.
  static std::int32_t most_sequences() { return std::int32_t(llama_max_parallel_sequences()) - 1; }
  /// Of keys and values of all layers that keep every token.
  std::uint64_t cell_bytes() const;
  std::int32_t n_cells() const;
  std::int32_t n_ubatch() const;
  std::int32_t n_threads() const { return pool_.n_threads(); }
  std::int32_t n_head(std::int32_t layer) const;
  /// What was chosen for the model's weights, in the order of their first use.
  std::span<const WeightUse> weights() const;
  std::int32_t n_layer() const { return std::int32_t(parts_.compressed.size()); }

 private:
  /// Decodes one token and forgets it, so that the tap knows the cache from the start.
  void learn_cache(std::int32_t window);
  /// Hands the attention to the observers of those segments that are in the graph in work.
  void show(std::span<const Segment> segments, const Attention& attention);
  std::size_t extension() const;  ///< see `cell_extension`

  bool has_logits_ = false;
  ThreadPool pool_;
  std::unique_ptr<Tap> tap_;
  std::unique_ptr<Compute> compute_;
  ContextHandle context_;
  SequenceId scratch_;
  std::int32_t n_vocab_;
  CacheParts parts_;
};

}  // namespace chunkkv::engine
