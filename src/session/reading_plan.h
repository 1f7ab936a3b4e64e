#pragma once

#include <chunkkv/error.h>
#include <chunkkv/reading.h>

#include <cstdint>

namespace chunkkv {

/// How a prompt is cut so that the cache never overflows.
struct ReadingPlan {
  std::int32_t budget = 0;      ///< entries left by every compression
  std::int32_t n_question = 0;  ///< tokens read ahead before every compression but the last
  bool window = true;           ///< the piece's own last tokens observe
  std::int32_t cells = 0;       ///< the sequence's
  std::int32_t piece = 0;
  std::int32_t n_last = 0;   ///< tokens read ahead before the last compression
  std::int32_t n_after = 0;  ///< of the answer that the last compression observes
  std::int32_t tail = 0;     ///< tokens that the last compression must see together
  std::int32_t protect_first = 0;

  /// Tokens to read before the next compression, of the `left` ones: all of them where they fit, else as many
  /// whole pieces as leave room for the question, and never less than the tail behind them.
  std::int32_t next(std::int32_t n_entries, std::int32_t left) const;
};

/// What is to be read, and where it goes.
struct ReadingTask {
  std::int32_t n_tokens = 0;     ///< of the prompt
  std::int32_t n_read = 0;       ///< read by the sequence before
  std::int32_t n_entries = 0;    ///< of the sequence
  std::int32_t n_available = 0;  ///< cells that are its own or free
  std::int32_t n_ubatch = 0;
};

/// UsageError, with what would fit, when it cannot be done.
ReadingPlan plan_reading(const Reading& reading, const ReadingTask& task);

}  // namespace chunkkv
