#pragma once

#include "cli/options/options.h"
#include "cli/terminal/progress.h"
#include "results/speed.h"

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

using results::SpeedSample;

/// What one repetition of a case took, and how the model's weights lay.
struct SpeedRun {
  SpeedSample sample;
  std::vector<WeightUse> weights;
};

/// Told how far a repetition is: tokens read and generated so far. False stops with Interrupted.
using SpeedProgress = std::function<bool(std::int32_t read, std::int32_t generated)>;

/// Measures one repetition in a session of its own, whose cache has as many cells as the case needs. `tokens`
/// are at least as many as are read.
SpeedRun measure_speed(const std::shared_ptr<Model>& model, SessionOptions options, const SpeedCase& what,
                       std::span<const Token> tokens, const SpeedProgress& progress);

/// Samples of all cases, `[case][repetition]`.
struct SpeedResults {
  std::vector<SpeedCase> cases;
  std::vector<std::vector<SpeedSample>> samples;

  /// Medians with their spread, a block for each input and output length.
  std::string table() const;
  results::Json to_json() const;
};

}  // namespace chunkkv::cli
