#pragma once

#include "serve/engine/scheduler.h"

namespace chunkkv::serve {

/// A common beginning of fewer tokens is not worth a copy, nor a reason in the reply when it is read again.
inline constexpr std::int32_t kMinTokensToCopy = 64;

/// An answer in work.
struct Scheduler::Answer {
  Answer(std::shared_ptr<Task> its_task, Conversation& its_conversation, const ReadingShape& its_shape)
      : task(std::move(its_task)), conversation(&its_conversation), shape(its_shape), text(task->stops) {}

  std::shared_ptr<Task> task;
  Conversation* conversation;
  ReadingShape shape;
  std::unique_ptr<PromptReading> reading = nullptr;  ///< null once the prompt is read
  AnswerText text;
  Token next = -1;  ///< the token that is sampled but not read yet
  bool is_finished = false;

  std::string reread_reason;
  std::int32_t n_read = 0;  ///< tokens of the prompt that were read
  std::int32_t n_generated = 0;
  std::int32_t n_kept = 0;                 ///< entries after the prompt's compression
  std::int32_t n_compressions = 0;         ///< compressions of its sequence up to the last step
  std::int64_t read_us = 0, token_us = 0;  ///< times of the prompt's end and of the newest token
  std::int32_t reserved_cells = 0;         ///< cells set aside for it, with those that it holds already
};

/// The cache that a new prompt continues, and how much of it is reused.
struct Scheduler::Base {
  bool in_place() const { return live != nullptr && !copies; }
  /// Entries of the tokens that are reused.
  std::int32_t n_entries() const { return n_held - (n_tokens - n_reused); }

  Conversation* live = nullptr;  ///< the conversation that is continued, in place or elsewhere
  bool copies = false;
  const HostCopy* host = nullptr;
  std::string file = {};
  std::int32_t n_tokens = 0;  ///< tokens of this cache, those beyond `n_reused` included
  std::int32_t n_reused = 0;
  std::int32_t n_held = 0;  ///< entries of this cache, those beyond `n_reused` included
  bool is_compressed = false;
  std::int32_t n_known = 0;             ///< longest known beginning of the prompt, reusable or not
  std::string not_reused_because = {};  ///< why the longest known beginning is not reused
};

}  // namespace chunkkv::serve
