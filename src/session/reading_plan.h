#pragma once

#include <chunkkv/error.h>
#include <chunkkv/reading.h>

#include <cstdint>

namespace chunkkv {

/// How a prompt is cut so that the cache never overflows.
struct ReadingPlan {
  std::int32_t budget = 0;      ///< entries that every compression keeps
  std::int32_t n_question = 0;  ///< question tokens read ahead before every compression but the last
  bool window = true;           ///< the last tokens of a piece observe
  std::int32_t cells = 0;       ///< cells that the sequence may use
  std::int32_t piece = 0;
  std::int32_t n_question_last = 0;  ///< question tokens read ahead before the last compression
  std::int32_t n_after = 0;          ///< first tokens of the answer that the last compression observes
  std::int32_t n_tail = 0;           ///< last tokens of the prompt that must be in its last piece
  std::int32_t protect_first = 0;

  /// Returns how many of the `left` tokens to read before the next compression: all where they fit, else as
  /// many whole pieces as leave room for the question and leave the tail for the last piece.
  std::int32_t next(std::int32_t n_entries, std::int32_t left) const;
};

/// What is to be read, and where it goes.
struct ReadingTask {
  std::int32_t n_tokens = 0;     ///< tokens of the prompt
  std::int32_t n_read = 0;       ///< tokens that the sequence read before
  std::int32_t n_entries = 0;    ///< entries of the sequence
  std::int32_t n_available = 0;  ///< cells that are the sequence's own or free
  std::int32_t n_ubatch = 0;
};

/// Plans a reading. UsageError, which says what would fit, when it cannot be done.
ReadingPlan plan_reading(const Reading& reading, const ReadingTask& task);

}  // namespace chunkkv
