#pragma once

#include <chunkkv/sequence.h>

#include "session/attention_history.h"
#include "session/reading_plan.h"
#include "session/selection_pass.h"
#include "session/sequence_cells.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace chunkkv {

/// Compression while generating: the plan, and the pass that leads to its next choice.
struct DecodingBudget {
  Plan plan;
  std::int32_t budget = 0;  ///< entries
  std::int32_t buffer = 0;
  std::unique_ptr<SelectionPass> pass = nullptr;
};

/// A prompt that is being read, a micro-batch at a time.
struct Work {
  std::vector<Token> tokens;    ///< tokens that become entries
  std::vector<Token> question;  ///< question tokens to read ahead, in a reading in pieces
  std::vector<Plan> plans;
  std::optional<ReadingPlan> pieces = {};  ///< nothing: read as one piece, without compression
  bool keep_question = true;
  std::int32_t n_read = 0;  ///< tokens that the sequence will have read at the end
  std::shared_ptr<AttentionHistory> highest = nullptr;

  PassShape shape = {};  ///< shape of the current piece
  std::unique_ptr<SelectionPass> pass = nullptr;
  std::size_t piece_end = 0;
  ReadState now = {};

  std::size_t done() const { return std::size_t(now.done); }
};

/// UsageError for a plan that no session can carry out.
void require_plan(const Plan& plan);

/// A sequence's state, and the steps that its calls have in common; the calls themselves are in `Sequence`.
/// Both are spread over several files by what they do: reading.cpp, answer.cpp, compression.cpp,
/// decoding.cpp, evaluation.cpp, sharing.cpp, snapshot.cpp, sequence.cpp.
struct SequenceState {
  SequenceState(SessionState& in, engine::Context& on, SequenceId number)
      : session(in), context(on), id(number) {}

  SessionState& session;
  engine::Context& context;
  const SequenceId id;
  Sequence calls{*this};

  SequenceCells cells = {};
  std::vector<Token> tokens = {};  ///< every token that was read
  AttentionHistory history = {};
  std::int32_t n_compressions = 0;
  /// First position of the newest micro-batch: windows hold all that tokens from this position on can see.
  Position newest_batch = 0;

  std::unique_ptr<DecodingBudget> decoding_budget = nullptr;
  std::unique_ptr<Work> work = nullptr;    ///< the reading that `step` continues
  std::vector<Selection> selections = {};  ///< by plan of the last prefill; no layers until it has chosen
  std::unique_ptr<SelectionPass> awaiting = nullptr;  ///< pass that awaits the answer's first tokens
  std::optional<std::size_t> compress_by = {};        ///< plan to compress by as soon as it has chosen

  /// A segment of tokens that follow what the sequence holds.
  engine::Segment segment(std::span<const Token> batch, engine::Observer* observer) const;
  /// Reads a micro-batch as new entries.
  void decode(const engine::Segment& batch);
  /// UsageError when layers with a window have no room for `n_tokens` more tokens, `n_batch` of them read at
  /// once. Compression does not empty these layers.
  void require_window_room(std::int64_t n_tokens, std::int64_t n_batch) const;

  // ---- reading.cpp
  /// Reads the next micro-batch of `next` as new entries, observed by `pass`. Returns the number of tokens.
  std::int32_t feed(std::span<const Token> next, SelectionPass& pass);
  /// Reads the question ahead, for `pass` to observe, and drops its cells again.
  void ask(std::span<const Token> question, SelectionPass& pass);
  /// Decides how much is read before the next compression.
  void begin_piece(Work& piece);
  /// Takes the selections of the piece's pass and, in a reading in pieces, compresses.
  void end_piece(Work& piece);
  /// Reads a micro-batch; returns whether anything is left. Calls `progress` before it compresses.
  bool step(const Progress& progress);

  // ---- answer.cpp
  /// Takes the selections that the pass made in the micro-batch just read.
  void collect(SelectionPass& pass);
  /// Ends a step of the answer, and compresses if it is time.
  void end_answer_step();
  void cancel_waiting();
  /// Whether a compression waits for the answer's first tokens.
  bool waits() const;

  // ---- compression.cpp
  void move_together(std::span<const LayerKept> kept, std::int32_t count);
  void close_gaps(std::span<const std::int32_t> kept);

  // ---- decoding.cpp
  /// The pass that observes the next step, for the answer's first tokens or the decoding budget, or null.
  SelectionPass* watching();
  /// Compresses where the buffer of the decoding budget is full.
  void compress_if_full();

  // ---- sharing.cpp
  /// Copies `entries` from shared cells into free ones. UsageError when too few are free.
  void copy_to_own_cells(std::vector<std::int32_t> entries);

  // ---- snapshot.cpp
  /// UsageError when `n_entries` is less than a compression kept, or more than the sequence has.
  void require_uncompressed(std::int32_t n_entries) const;
  /// Forgets all but the first `n_entries` entries; the engine has dropped the others.
  void forget_newest(std::int32_t n_entries);
};

}  // namespace chunkkv
