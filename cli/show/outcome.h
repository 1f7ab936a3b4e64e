#pragma once

#include "results/line.h"
#include "text/generate.h"

#include <cstdint>
#include <span>
#include <string>

namespace chunkkv::cli {

/// One cache, what it cost and what the model answered from it.
struct Outcome {
  std::string model;   ///< path
  std::string method;  ///< spec
  std::string keep;    ///< budget
  std::int32_t prompt_tokens = 0;
  std::int32_t kept_tokens = 0;
  std::int32_t cells = 0;  ///< cells of the cache
  std::int32_t compressions = 0;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  std::uint64_t bytes_allocated = 0;
  std::uint64_t bytes_fixed = 0;  ///< bytes of windows and states
  results::Json parts;            ///< what the model's layers keep
  Timings ms;
  /// Time to read the prompt, observing and selecting included.
  double prefill_ms() const { return ms.prefill + ms.observe + ms.select; }
  double first_token_ms = 0;         ///< from the start of reading
  std::int32_t n_observed = 0;       ///< first tokens of the answer that the method observes
  bool ended_before_choice = false;  ///< the answer ended before those: nothing was compressed
  text::Answer answer;
};

/// The outcome with what is known before the prompt of `n_prompt` tokens is read.
Outcome outcome_of(const Session& session, const std::string& method, const std::string& keep,
                   std::size_t n_prompt);

/// A heading for people: "full cache" or "chunkkv, 10% kept".
std::string title(const Outcome& outcome);

results::Json to_json(const Outcome& outcome);

/// The figures as a table, one column an outcome.
std::string figures(std::span<const Outcome> outcomes);

}  // namespace chunkkv::cli
