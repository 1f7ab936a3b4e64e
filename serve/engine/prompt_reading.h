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
    plain,     ///< and left whole
    compress,  ///< and compressed at its end
    pieces,    ///< and compressed whenever the cells are full
    evaluate,  ///< with the probability of every token
  };
  Kind kind = Kind::plain;
  std::int32_t n_reused = 0;  ///< first tokens that the sequence holds already
  std::int32_t n_source = 0;  ///< first tokens of which a copy is kept in host memory; 0: none
  std::int32_t cells = 0;     ///< of Kind::pieces
  std::int32_t peak = 0;      ///< cells of the sequence at most, with the first tokens of the answer
  std::int32_t later = 0;     ///< the same once it is read
};

/// What the sequence that reads holds already.
struct ReadingBase {
  std::int32_t n_reused = 0;  ///< tokens
  std::int32_t n_entries = 0;
  bool is_compressed = false;
};

/// The plan of a task's compression: its budget is raised where it cannot hold what is protected.
Plan plan_of(const Task& task);

/// UsageError when the prompt cannot be held by these cells at all.
ReadingShape shape_of(const Task& task, const ReadingBase& base, const Session& session);

/// A prompt on its way into a sequence, a micro-batch at a time. Errors are those of the session.
class PromptReading {
 public:
  /// `on_source` gets the copy, uncompressed. All must outlive this.
  PromptReading(Sequence& sequence, const Task& task, const ReadingShape& shape,
                std::function<void(Snapshot)> on_source);

  /// Reads a micro-batch; false when nothing is left.
  bool step();
  /// Tokens read so far, without the reused ones.
  std::int32_t n_read() const { return n_read_; }
  /// Of Kind::evaluate: every token of the prompt.
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
  std::int32_t done_ = 0;  // tokens of the prompt that the stages before have read or reused
  std::int32_t n_read_ = 0;
  bool in_source_ = false;
  std::vector<TokenOutput> outputs_;
};

}  // namespace chunkkv::serve
