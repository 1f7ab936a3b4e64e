#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "session/attention_history.h"
#include "session/reading_plan.h"
#include "session/round.h"
#include "session/sequence_cells.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace chunkkv {

/// Compression while generating: the plan, and the round that leads to its next choice.
struct Limit {
  Plan plan;
  std::int32_t budget = 0;  ///< entries
  std::int32_t buffer = 0;
  std::unique_ptr<Round> round = nullptr;
};

/// A prompt on its way into a sequence, a micro-batch at a time.
struct Work {
  std::vector<Token> tokens;    ///< that become entries
  std::vector<Token> question;  ///< read ahead, of a reading in pieces
  std::vector<Plan> plans;
  std::optional<ReadingPlan> pieces = {};  ///< without: one piece, and no compression
  bool keep_question = true;
  std::int32_t n_read = 0;  ///< by the sequence, at the end
  std::shared_ptr<AttentionHistory> highest = nullptr;

  RoundShape shape = {};  ///< of the piece in work
  std::unique_ptr<Round> round = nullptr;
  std::size_t piece_end = 0;
  ReadState now = {};

  std::size_t done() const { return std::size_t(now.done); }
};

/// One sequence of a session.
struct SequenceState {
  SequenceCells cells;
  std::vector<Token> tokens;  ///< every one that was read
  AttentionHistory history;
  std::int32_t n_compressions = 0;
  std::unique_ptr<Limit> limit = nullptr;
  std::unique_ptr<Work> work = nullptr;  ///< what `step` goes on with

  std::vector<Selection> selections;          ///< of the last prefill; without layers where not chosen yet
  std::unique_ptr<Round> awaiting = nullptr;  ///< the answer's first tokens
  std::optional<std::size_t> due = {};        ///< plan that compresses when it has chosen

  /// First position of the newest micro-batch: windows hold all that tokens from there on see.
  Position newest_batch = 0;
};

/// UsageError for a plan that no session can carry out.
void require_plan(const Plan& plan);

/// The engine's positions of a snapshot's cells, in the order of the cells.
std::vector<Position> positions_by_cell(const Snapshot& snapshot);

/// Spread over several files by what it does: reading.cpp, compression.cpp, sharing.cpp, limit.cpp,
/// answer.cpp, decoding.cpp, evaluation.cpp, snapshot.cpp.
struct Session::Impl {
  Impl(std::shared_ptr<Model> model, const SessionOptions& options);

  SequenceState& at(Sequence sequence);
  std::int32_t n_layer() const { return context.n_layer(); }
  std::int32_t n_free() const;
  /// UsageError when so many tokens have no room.
  void require_room(std::size_t n_tokens) const;
  /// Likewise of layers with a window, which compression does not empty; `n_batch` tokens are read at once.
  void require_window_room(const SequenceState& sequence, std::int64_t n_tokens, std::int64_t n_batch) const;
  std::uint64_t cell_bytes() const;
  CacheUse use(std::int32_t n_used) const;
  std::vector<bool> cells_of_others(const SequenceCells& sequence) const;
  /// Attention reads up to the highest used cell, rounded up; memory above is not needed any more.
  void release_unused();

  // ---- reading.cpp
  /// Reads the next micro-batch of the tokens as new entries; `round` watches. Returns how many.
  std::int32_t feed(SequenceState& state, Sequence sequence, std::span<const Token> tokens, Round& round);
  /// Reads the question for `round` only: nothing of it stays.
  void ask(SequenceState& state, Sequence sequence, std::span<const Token> question, Round& round);
  void start_prefill(std::span<const Token> tokens, std::span<const Plan> plans, Sequence sequence);
  void start_read(std::span<const Token> tokens, const Reading& reading, Sequence sequence);
  /// Decides how much is read before the next compression.
  void begin_piece(SequenceState& state, Work& work);
  /// Takes over what was chosen, and compresses a reading in pieces.
  void end_piece(SequenceState& state, Sequence sequence, Work& work);
  /// `progress` is called after the micro-batch, before a compression.
  bool step(Sequence sequence, const Progress& progress);
  ReadState reading(Sequence sequence);

  // ---- compression.cpp
  void compress(std::span<const LayerKept> layers, Sequence sequence, Surplus surplus);
  void move_together(SequenceState& state, Sequence sequence, std::span<const LayerKept> kept,
                     std::int32_t count);
  void close_gaps(SequenceState& state, Sequence sequence, std::span<const std::int32_t> kept);

  // ---- sharing.cpp
  bool can_share() const {
    return !options.cache_positions && context.parts().n_window + context.parts().n_state == 0;
  }
  std::int32_t n_intact(const SequenceState& state) const;
  void share(Sequence from, std::int32_t n_tokens, Sequence to);
  /// Cells of a sequence that others hold too.
  std::int32_t n_shared(Sequence sequence) const;
  /// Copies entries of shared cells into free ones.
  void own_cells(SequenceCells& cells, Sequence sequence, std::vector<std::int32_t> entries);

  // ---- limit.cpp
  void limit(const Plan& plan, std::int32_t buffer, Sequence sequence);
  /// Lets the limit's round watch the next step; null without a limit.
  Round* limiting(SequenceState& state);
  void cut_back(SequenceState& state, Sequence sequence);

  // ---- answer.cpp
  /// Takes over what the round chose in the micro-batch just read.
  void collect(SequenceState& state, Round& round);
  /// Keeps the round of a prompt for the answer's first tokens, if some plan observes them.
  void await_answer(SequenceState& state, std::unique_ptr<Round> round);
  /// The round that observes the next step of the answer; null where none does.
  Round* awaiting(SequenceState& state);
  /// Ends that step, and compresses if it is time.
  void answered(SequenceState& state, Sequence sequence);
  static void call_off(SequenceState& state);
  bool waits(const SequenceState& state) const;
  const Selection& selection(std::size_t index, Sequence sequence);
  void compress(const Selection& selection, Sequence sequence);
  void compress_when_chosen(std::size_t index, Sequence sequence);
  std::int32_t n_until_compression(Sequence sequence);

  // ---- decoding.cpp
  void decode(Token token, Sequence sequence);
  void decode_together(std::span<const Token> tokens, std::span<const Sequence> which);

  // ---- evaluation.cpp
  void evaluate(std::span<const Token> tokens,
                const std::function<void(std::size_t, std::span<const float>)>& on_logits,
                const std::function<void(const AttentionRows&)>& on_attention, Sequence sequence);
  std::vector<float> magnitudes(std::int32_t layer, Sequence sequence);

  // ---- snapshot.cpp
  Snapshot snapshot(Sequence sequence);
  /// Error when the snapshot is not one of a cache of this model, whole and without contradictions.
  void require_whole(const Snapshot& snapshot) const;
  void restore(const Snapshot& snapshot, Sequence sequence);
  void clear(Sequence sequence);
  void truncate(std::int32_t n_entries, Sequence sequence);
  Checkpoint checkpoint(Sequence sequence);
  void go_back(const Checkpoint& checkpoint, Sequence sequence);
  /// UsageError for entries that a compression kept, or that there are not.
  void require_uncompressed(const SequenceCells& cells, std::int32_t n_entries) const;
  /// Forgets the newest entries, which the engine has dropped.
  void shorten(SequenceState& state, std::int32_t n_entries) const;

  std::shared_ptr<Model> model;
  SessionOptions options;
  engine::Context context;
  std::vector<SequenceState> sequences;
  bool shares = false;  ///< sequences may hold the same cells
  Sequence last_prefilled = 0;
  Timings timings;
};

}  // namespace chunkkv
