#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "session/sequence_state.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace chunkkv {

/// What the sequences of a session have in common.
struct SessionState {
  SessionState(Session& calls, std::shared_ptr<Model> model, const SessionOptions& options);

  SequenceState& at(SequenceId id);
  std::int32_t n_free() const;
  /// UsageError when fewer than `n_tokens` cells are free.
  void require_room(std::size_t n_tokens) const;
  CacheUse use(std::int32_t n_used) const;
  /// By cell of the cache: whether a sequence other than the one with these cells holds it.
  std::vector<bool> cells_of_others(const SequenceCells& sequence) const;
  /// Releases memory above the highest used cell; attention, which rounds up, needs nothing that lies there.
  void release_unused();
  /// Reads one token of each of several sequences (decoding.cpp).
  void decode(std::span<const Token> tokens, std::span<const SequenceId> ids);
  /// Error when the snapshot is not one of a cache of this model, whole and without contradictions
  /// (snapshot.cpp).
  void require_whole(const Snapshot& snapshot) const;

  Session& calls;
  std::shared_ptr<Model> model;
  SessionOptions options;
  engine::Context context;
  std::deque<SequenceState> sequences;
  bool shares = false;  ///< sequences may hold the same cells
  Timings timings;
};

}  // namespace chunkkv
