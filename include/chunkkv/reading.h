#pragma once

#include <chunkkv/plan.h>

#include <cstdint>
#include <functional>

namespace chunkkv {

/// How far a reading is.
struct ReadState {
  std::int64_t done = 0, total = 0;  ///< tokens
  std::int32_t n_entries = 0;        ///< entries that the sequence holds
  std::int32_t n_compressions = 0;   ///< compressions of the sequence so far
};
/// Called after every micro-batch; returning false stops with Interrupted.
using Progress = std::function<bool(const ReadState&)>;

/// Which queries choose when a prompt is read in pieces.
enum class ObserverKind : std::uint8_t {
  question,  ///< the question's: it is read ahead after a piece, and its cells are dropped again
  window,    ///< the last ones of the piece
  both,      ///< the question's and the window's, their attention summed
};

/// How a prompt longer than the cache is read.
struct Reading {
  Plan plan;
  ObserverKind observer = ObserverKind::question;
  std::int32_t n_question = 0;  ///< last tokens of the prompt that ask about it; 0: none, observe the window
  bool keep_question = true;    ///< false: the question only observes and is not in the cache at the end
  std::int32_t n_cells = 0;     ///< cells that the sequence may use; 0: those that are its own or free
  std::int32_t piece = 0;       ///< unit in tokens in which the prompt is cut; 0: SessionOptions::n_ubatch
};

}  // namespace chunkkv
