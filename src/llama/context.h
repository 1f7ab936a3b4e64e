#pragma once

#include <chunkkv/session.h>

#include "llama/attention.h"
#include "llama/handles.h"
#include "llama/layer_probe.h"
#include "llama/thread_pool.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace chunkkv::engine {

class Compute;
class Tap;
struct StateFormat;

/// Tokens of one sequence in a batch, at positions first, first + 1, ...
struct Segment {
  SequenceId sequence = 0;
  Position first = 0;
  std::span<const Token> tokens;
  bool all_logits = false;  ///< logits of every token; false: of the last token only
  /// Cells of the sequence that single layers' attention must not see, by layer; null or empty: none.
  const std::vector<std::vector<std::int32_t>>* hidden = nullptr;
  Observer* observer = nullptr;  ///< sees what the tokens attend to; null: nobody does
};

/// Everything that a session asks of the engine: the engine's context with its tap, threads and devices. All
/// sequences share one stream of cells. There is one sequence more than asked for, the scratch sequence of
/// `relocate`. Not thread-safe.
class Context {
 public:
  /// UsageError for cache positions where the engine cannot turn the model's keys. Error when the cache
  /// cannot be allocated or is of an unknown kind.
  Context(const Model& model, const SessionOptions& options);
  ~Context();

  /// Reads the tokens of all segments together and returns their cells, in order: at most n_ubatch tokens, or
  /// one of each sequence. Error when no cells are free, Interrupted when the engine's abort callback
  /// says so. Rethrows what an observer throws.
  std::vector<std::int32_t> decode(std::span<const Segment> segments);
  /// Logits of token `index` of the last decode, [n_vocab]; -1: of its last token. Empty before any decode.
  std::span<const float> logits(std::int32_t index = -1) const;

  /// Frees the cells of `sequence` with positions in [from, to); `from` < 0: from the first, `to` < 0: to the
  /// last. Error where the engine refuses; nothing is freed then.
  void remove(SequenceId sequence, Position from, Position to);

  /// Lets `to` hold the cells of `from` with positions below `end` as well.
  void share(SequenceId from, SequenceId to, Position end);
  /// Frees the cells of `sequence` that hold `positions` and gives the sequence as many of the lowest free
  /// cells instead, with the same positions and contents, in the same order: `positions` are listed by
  /// ascending cell. At most `at_once` cells are held in host memory, but a sequence with a recurrent state
  /// is copied and written anew as a whole.
  void relocate(SequenceId sequence, std::span<const Position> positions, std::size_t at_once);

  /// Returns the windows and states of `sequence`: what layers hold that do not keep every token. Empty where
  /// the model has neither.
  std::vector<std::byte> windows_and_states(SequenceId sequence) const;
  /// Puts windows and states back; does nothing where `saved` is empty. Error: the sequence is lost.
  void set_windows_and_states(SequenceId sequence, std::span<const std::byte> saved);
  bool has_windows_or_states() const;
  const CacheParts& parts() const { return parts_; }
  /// Whether layers have a recurrent state, which cannot be rewound: `remove` can then drop only all of a
  /// sequence, or tokens that are older than its newest one.
  bool has_state() const { return parts_.n_state > 0; }

  /// Adds `delta` to the positions of `sequence` in [from, to). The engine turns the keys in the next decode.
  void shift(SequenceId sequence, Position from, Position to, Position delta);
  bool can_shift() const;
  /// Forgets all sequences and logits.
  void clear();

  /// Returns an object that computes what methods ask to observe of a layer; for `cells`, see LayerProbe.
  std::unique_ptr<LayerProbe> probe(std::int32_t layer, const std::vector<std::int32_t>& cells,
                                    std::int32_t n_entries);
  /// The attention weights of `queries`, numbered among the tokens that the attention is shown for, by cell:
  /// [n_head][queries.count][n_kv]. For measurements; pass few queries at a time.
  std::vector<float> attention_weights(const Attention& attention, QueryRange queries);
  /// For each KV head and cell the sum of the absolute values of key and value: [n_head_kv][cells.size()].
  /// UsageError without flash attention.
  std::vector<float> magnitudes(std::int32_t layer, std::span<const std::int32_t> cells);

  /// False without flash attention.
  bool can_move_rows() const;
  /// Moves rows of keys and values, byte for byte: in every KV head h from cell `from[h][i]` to `to[i]`. All
  /// heads follow the list where `from` has only one. Sources and targets may overlap.
  void move_rows(std::int32_t layer, std::span<const std::vector<std::int32_t>> from,
                 std::span<const std::int32_t> to);

  /// Copies a sequence in the engine's own format.
  std::vector<std::byte> state(SequenceId sequence) const;
  /// Replaces a sequence by a copy whose cells have `positions`, in this order. Error when the copy is not
  /// from such a cache (the sequence stays as it was) or the engine refuses it (the sequence is empty then).
  void set_state(SequenceId sequence, std::span<const std::byte> state, std::span<const Position> positions);
  /// Returns the state with rows of this cache's types. Error for models with windows, and when the state is
  /// damaged or of another model.
  std::vector<std::byte> converted(std::span<const std::byte> state,
                                   std::span<const Position> positions) const;

  /// Gives the memory of the cells from `first` on, as far as it is whole pages, back to the operating system
  /// where the cache lies in ordinary host memory. These pages read as zero then. Memory of statistics goes,
  /// too.
  void release_cells(std::int32_t first);

  llama_context* handle() const { return context_.get(); }
  /// The most sequences that the engine allows, without the scratch sequence.
  static std::int32_t most_sequences() { return std::int32_t(llama_max_parallel_sequences()) - 1; }
  /// Bytes of one cell: keys and values of all layers that keep every token.
  std::uint64_t cell_bytes() const;
  std::int32_t n_cells() const;
  std::int32_t n_ubatch() const;
  std::int32_t n_threads() const { return pool_.n_threads(); }
  std::int32_t n_head(std::int32_t layer) const;
  /// The layouts and kernels chosen for the model's weights, in the order of the weights' first use.
  std::span<const WeightUse> weights() const;
  std::int32_t n_layer() const { return std::int32_t(parts_.compressed.size()); }

 private:
  /// Decodes a token, or a few, and forgets them, so that the tap knows the cache's layers from the start.
  /// `window`: tokens of a window; 0: the model has no windows.
  void learn_cache(std::int32_t window);
  /// Shows the attention to the observers of those segments that are in the graph being computed.
  void show(std::span<const Segment> segments, const Attention& attention);
  const CacheLayer& cache(std::int32_t layer) const;
  StateFormat state_format() const;

  bool has_logits_ = false;
  ThreadPool pool_;
  std::unique_ptr<Tap> tap_;
  std::unique_ptr<Compute> compute_;
  ContextHandle context_;
  SequenceId scratch_;
  std::int32_t n_vocab_;
  std::function<bool()> interrupted_;  // SessionOptions::interrupted, where the engine can call it
  CacheParts parts_;
};

}  // namespace chunkkv::engine
