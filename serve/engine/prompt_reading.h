#pragma once

#include "serve/engine/task.h"

#include <chunkkv/session.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace chunkkv::serve {

/// How the prompt of a task is read into a sequence, and the cells that this takes.
struct ReadingShape {
  enum class Kind : std::uint8_t {
    plain,     ///< read, and left whole
    compress,  ///< read whole, and compressed at its end
    pieces,    ///< read in pieces, and compressed whenever the cells are full
    evaluate,  ///< read with the probability of every token, and left whole
  };
  Kind kind = Kind::plain;
  std::int32_t n_reused = 0;     ///< first tokens that the sequence holds already
  std::int32_t n_source = 0;     ///< first tokens of which a copy is kept in host memory; 0: none
  std::int32_t cells = 0;        ///< with Kind::pieces: most cells of the sequence
  std::int32_t peak = 0;         ///< most cells while it is read; the answer's first tokens are included
  std::int32_t cells_after = 0;  ///< most cells after it is read; the answer's first tokens are included
};

/// What the sequence holds before the prompt is read.
struct ReadingBase {
  std::int32_t n_reused = 0;  ///< first tokens of the prompt that it holds
  std::int32_t n_entries = 0;
  bool is_compressed = false;
};

/// The plan of a task's compression: its budget is raised where it cannot hold what is protected.
Plan plan_of(const Task& task);

/// Decides how a prompt is read. UsageError when it is longer than the model allows or can never fit into the
/// cells, and when kv.source lacks cells for the whole prompt.
ReadingShape shape_of(const Task& task, const ReadingBase& base, const Session& session);

/// The least cells of a conversation, `kv.cells` to `most`, that hold what is kept of a longer prompt and a
/// piece of it; 0 if what is kept grows with them.
std::int32_t least_cells(const KvSettings& kv, std::int32_t most);

/// Reads a prompt into a sequence, one micro-batch at a time. Throws the errors of the session.
class PromptReading {
 public:
  /// `on_source` gets the first `n_source` tokens, uncompressed. `sequence` and `task` must outlive this.
  PromptReading(Sequence& sequence, const Task& task, const ReadingShape& shape,
                std::function<void(Snapshot)> on_source);

  /// Reads a micro-batch; returns false when nothing is left.
  bool step();
  /// Tokens read so far, without the reused ones.
  std::int32_t n_read() const { return n_read_; }
  /// With Kind::evaluate: all tokens of the prompt, each but the first with its probability; otherwise empty.
  std::vector<TokenOutput> take_outputs() { return std::move(outputs_); }

 private:
  void begin_source();
  void begin_rest();
  void evaluate();

  Sequence& sequence_;
  const Task& task_;
  ReadingShape shape_;
  std::function<void(Snapshot)> on_source_;
  Plan plan_;
  std::int32_t done_ = 0;  // first tokens of the prompt that were reused or read in earlier stages
  std::int32_t n_read_ = 0;
  bool in_source_ = false;
  std::vector<TokenOutput> outputs_;
};

}  // namespace chunkkv::serve
