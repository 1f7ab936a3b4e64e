#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "session/attention_history.h"
#include "session/round.h"
#include "session/sequence_cells.h"

#include <cstdint>
#include <functional>
#include <memory>
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

/// One sequence of a session.
struct SequenceState {
  SequenceCells cells;
  std::vector<Token> tokens;  ///< every one that was read
  AttentionHistory history;
  std::int32_t n_compressions = 0;
  std::unique_ptr<Limit> limit = nullptr;
};

/// Spread over several files by what it does: reading.cpp, compression.cpp, limit.cpp, decoding.cpp,
/// evaluation.cpp, snapshot.cpp.
struct Session::Impl {
  Impl(std::shared_ptr<Model> model, const SessionOptions& options);

  SequenceState& at(Sequence sequence);
  std::int32_t n_layer() const { return context.n_layer(); }
  std::int32_t n_free() const;
  std::uint64_t cell_bytes() const;
  std::vector<bool> cells_of_others(const SequenceCells& sequence) const;
  /// Attention reads up to the highest used cell, rounded up; memory above is not needed any more.
  void release_unused();

  // ---- reading.cpp
  /// Reads tokens as new entries; `round` watches.
  void feed(SequenceState& state, Sequence sequence, std::span<const Token> tokens, Round* round,
            const std::function<bool(std::int32_t)>& on_batch);
  /// Reads the question for `round` only: nothing of it stays.
  void ask(SequenceState& state, Sequence sequence, std::span<const Token> question, Round& round);
  void prefill(std::span<const Token> tokens, std::span<const Plan> plans, const Progress& progress,
               Sequence sequence);
  std::int32_t read(std::span<const Token> tokens, const Reading& reading, const Progress& progress,
                    Sequence sequence);

  // ---- compression.cpp
  void compress(std::span<const LayerKept> layers, Sequence sequence, Surplus surplus);
  void move_together(SequenceState& state, Sequence sequence, std::span<const LayerKept> kept,
                     std::int32_t count);
  void close_gaps(SequenceState& state, Sequence sequence, std::span<const std::int32_t> kept);

  // ---- limit.cpp
  void limit(const Plan& plan, std::int32_t buffer, Sequence sequence);
  void decode(Token token, Sequence sequence);

  // ---- decoding.cpp
  void decode_together(std::span<const Token> tokens, std::span<const Sequence> which);

  // ---- evaluation.cpp
  void evaluate(std::span<const Token> tokens,
                const std::function<void(std::size_t, std::span<const float>)>& on_logits,
                const std::function<void(const AttentionRows&)>& on_attention, Sequence sequence);
  std::vector<float> magnitudes(std::int32_t layer, Sequence sequence);

  // ---- snapshot.cpp
  Snapshot snapshot(Sequence sequence);
  void restore(const Snapshot& snapshot, Sequence sequence);
  void clear(Sequence sequence);
  void truncate(std::int32_t n_entries, Sequence sequence);

  std::shared_ptr<Model> model;
  SessionOptions options;
  engine::Context context;
  std::vector<SequenceState> sequences;
  std::vector<Selection> selections;
  Timings timings;
};

}  // namespace chunkkv
