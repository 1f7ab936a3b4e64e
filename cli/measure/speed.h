#pragma once

#include "cli/options/options.h"
#include "cli/terminal/progress.h"

#include "runner/result_line.h"

#include <chunkkv/session.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::cli {

/// One cell of the table: so many tokens read, so many generated, with one method and budget.
struct SpeedCase {
  std::int32_t input = 0;
  std::int32_t output = 0;
  Plan plan;
  std::int32_t window = 0;  ///< that a small budget left of the method's; 0: its own
};

/// What one repetition of a case took.
struct SpeedSample {
  std::int32_t kept_tokens = 0;
  double prefill_ms = 0;  ///< reading, without what compression adds to it
  double observe_ms = 0, select_ms = 0, move_ms = 0;
  double first_token_ms = 0;                        ///< from the start of reading
  double per_token_ms = 0;                          ///< of the tokens after the first
  double total_ms = 0;                              ///< from the start of reading to the last token
  std::uint64_t bytes_before = 0, bytes_after = 0;  ///< of the cache
  std::uint64_t bytes_peak = 0;                     ///< of the process
  std::uint64_t bytes_gpu = 0;                      ///< used on the GPU at the end; 0 without one
  std::vector<WeightUse> weights;                   ///< of the model; not kept in files

  double overhead() const { return (observe_ms + select_ms + move_ms) / prefill_ms; }
  double throughput(const SpeedCase& what) const { return 1000 * (what.input + what.output) / total_ms; }
};

eval::Json to_json(const SpeedSample& sample, const SpeedCase& what);
/// What `to_json` wrote. Error when it is something else.
SpeedSample speed_sample(const eval::Json& line);

/// Told how far a repetition is: tokens read and generated so far. False stops with Interrupted.
using SpeedProgress = std::function<bool(std::int32_t read, std::int32_t generated)>;

/// Measures one repetition in a session of its own, whose cache has as many cells as the case needs. `tokens`
/// are at least as many as are read.
SpeedSample measure_speed(const std::shared_ptr<Model>& model, SessionOptions options, const SpeedCase& what,
                          std::span<const Token> tokens, const SpeedProgress& progress);

/// Samples of all cases, `[case][repetition]`.
struct SpeedResults {
  std::vector<SpeedCase> cases;
  std::vector<std::vector<SpeedSample>> samples;

  /// Medians with their spread, a block for each input and output length.
  std::string table() const;
  eval::Json to_json() const;
};

}  // namespace chunkkv::cli
