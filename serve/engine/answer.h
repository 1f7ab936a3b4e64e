#pragma once

#include "serve/engine/scheduler.h"

namespace chunkkv::serve {

/// A common beginning shorter than this is not worth a copy, nor a word when it is read again.
inline constexpr std::int32_t kWorthACopy = 64;

/// An answer in work.
struct Scheduler::Answer {
  Answer(std::shared_ptr<Task> its_task, Conversation& its_conversation, const ReadingShape& its_shape)
      : task(std::move(its_task)), conversation(&its_conversation), shape(its_shape), text(task->stops) {}

  std::shared_ptr<Task> task;
  Conversation* conversation;
  ReadingShape shape;
  std::unique_ptr<PromptReading> reading = nullptr;  ///< until the prompt is read
  AnswerText text;
  Token next = -1;  ///< sampled, not read yet
  bool is_finished = false;

  std::string reread_reason;
  std::int32_t n_read = 0;  ///< of the prompt
  std::int32_t n_generated = 0;
  std::int32_t n_kept = 0;                 ///< entries after the prompt's compression
  std::int32_t n_compressions = 0;         ///< of the sequence, seen so far
  std::int64_t read_us = 0, token_us = 0;  ///< when the prompt was read, when the newest token came
  std::int32_t promised = 0;               ///< entries that it may have
};

/// Where a new prompt finds its beginning.
struct Scheduler::Base {
  bool in_place() const { return live != nullptr && !copies; }
  /// Entries of the tokens that are reused.
  std::int32_t n_entries() const { return n_held - (n_tokens - n_reused); }

  Conversation* live = nullptr;  ///< continued in place, or copied
  bool copies = false;
  const HostCopy* host = nullptr;
  std::string file = {};
  std::int32_t n_tokens = 0;  ///< that it has, with those beyond `n_reused`
  std::int32_t n_reused = 0;
  std::int32_t n_held = 0;  ///< entries of it, with those beyond `n_reused`
  bool is_compressed = false;
  std::int32_t n_known = 0;  ///< longest beginning known in any form
  std::string why_not = {};  ///< that one cannot be used
};

}  // namespace chunkkv::serve
