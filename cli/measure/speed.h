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

/// One case of the table: the numbers of tokens read and generated, with one method and budget.
struct SpeedCase {
  std::int32_t input = 0;
  std::int32_t output = 0;
  Plan plan;
  std::int32_t window = 0;  ///< what a small budget shrank the window to; 0: the method's own
};

using results::SpeedSample;

/// What one repetition of a case took, and how the model's weights were laid out.
struct SpeedRun {
  SpeedSample sample;
  std::vector<WeightUse> weights;
};

/// Called with the tokens read and generated so far in a repetition. Returning false stops with Interrupted.
using SpeedProgress = std::function<bool(std::int32_t read, std::int32_t generated)>;

/// Measures one repetition in a session of its own, whose cache has as many cells as the case needs. `tokens`
/// has at least `speed_case.input` elements.
SpeedRun measure_speed(const std::shared_ptr<Model>& model, SessionOptions options,
                       const SpeedCase& speed_case, std::span<const Token> tokens,
                       const SpeedProgress& progress);

/// Samples of all cases, `[case][repetition]`.
struct SpeedResults {
  std::vector<SpeedCase> cases;
  std::vector<std::vector<SpeedSample>> samples;

  /// Medians with their spread, a block for each input and output length.
  std::string table() const;
  results::Json to_json() const;
};

}  // namespace chunkkv::cli
