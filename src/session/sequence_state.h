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

/// A prompt on its way into a sequence, a micro-batch at a time.
struct Work {
  std::vector<Token> tokens;    ///< that become entries
  std::vector<Token> question;  ///< read ahead, of a reading in pieces
  std::vector<Plan> plans;
  std::optional<ReadingPlan> pieces = {};  ///< without: one piece, and no compression
  bool keep_question = true;
  std::int32_t n_read = 0;  ///< by the sequence, at the end
  std::shared_ptr<AttentionHistory> highest = nullptr;

  PassShape shape = {};  ///< of the piece in work
  std::unique_ptr<SelectionPass> pass = nullptr;
  std::size_t piece_end = 0;
  ReadState now = {};

  std::size_t done() const { return std::size_t(now.done); }
};

/// UsageError for a plan that no session can carry out.
void require_plan(const Plan& plan);

/// What a sequence is, and the steps that its calls have in common; `Sequence` itself is the calls. Both are
/// spread over several files by what they do: reading.cpp, answer.cpp, compression.cpp, decoding.cpp,
/// evaluation.cpp, sharing.cpp, snapshot.cpp, sequence.cpp.
struct SequenceState {
  SequenceState(SessionState& in, engine::Context& on, SequenceId number)
      : session(in), context(on), id(number) {}

  SessionState& session;
  engine::Context& context;
  const SequenceId id;
  Sequence face{*this};

  SequenceCells cells = {};
  std::vector<Token> tokens = {};  ///< every one that was read
  AttentionHistory history = {};
  std::int32_t n_compressions = 0;
  /// First position of the newest micro-batch: windows hold all that tokens from there on see.
  Position newest_batch = 0;

  std::unique_ptr<DecodingBudget> decoding_budget = nullptr;
  std::unique_ptr<Work> work = nullptr;    ///< what `step` goes on with
  std::vector<Selection> selections = {};  ///< of the last prefill; without layers where not chosen yet
  std::unique_ptr<SelectionPass> awaiting = nullptr;  ///< the answer's first tokens
  std::optional<std::size_t> due = {};                ///< plan that compresses when it has chosen

  /// Tokens that follow what the sequence holds.
  engine::Segment segment(std::span<const Token> batch, engine::Observer* observer) const;
  /// Reads a micro-batch as new entries.
  void decode(const engine::Segment& batch);
  /// UsageError when so many tokens, `n_batch` of them read at once, have no room in layers with a window,
  /// which compression does not empty.
  void require_window_room(std::int64_t n_tokens, std::int64_t n_batch) const;

  // ---- reading.cpp
  /// Reads the next micro-batch of the tokens as new entries; `pass` watches. Returns how many.
  std::int32_t feed(std::span<const Token> next, SelectionPass& pass);
  /// Reads the question for `pass` only: nothing of it stays.
  void ask(std::span<const Token> question, SelectionPass& pass);
  /// Decides how much is read before the next compression.
  void begin_piece(Work& piece);
  /// Takes over what was chosen, and compresses a reading in pieces.
  void end_piece(Work& piece);
  /// `progress` is called after the micro-batch, before a compression.
  bool step(const Progress& progress);

  // ---- answer.cpp
  /// Takes over what the pass chose in the micro-batch just read.
  void collect(SelectionPass& pass);
  /// Keeps the pass of a prompt for the answer's first tokens, if some plan observes them.
  void await_answer(std::unique_ptr<SelectionPass> pass);
  /// Ends a step of the answer, and compresses if it is time.
  void answered();
  void call_off();
  /// Whether a compression waits for the answer's first tokens.
  bool waits() const;

  // ---- compression.cpp
  void move_together(std::span<const LayerKept> kept, std::int32_t count);
  void close_gaps(std::span<const std::int32_t> kept);

  // ---- decoding.cpp
  /// The pass that watches the next step, of the answer's first tokens or of the decoding budget; null where
  /// none does.
  SelectionPass* watching();
  /// Compresses where the buffer of the decoding budget is full.
  void cut_back();

  // ---- sharing.cpp
  /// Cells that others hold too.
  std::int32_t n_shared() const;
  /// Copies entries of shared cells into free ones.
  void own_cells(std::vector<std::int32_t> entries);

  // ---- snapshot.cpp
  /// UsageError for a length that drops entries which a compression kept, or that there are not.
  void require_uncompressed(std::int32_t n_entries) const;
  /// Forgets the newest entries, which the engine has dropped.
  void shorten(std::int32_t n_entries);
};

}  // namespace chunkkv
