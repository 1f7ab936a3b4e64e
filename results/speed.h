#pragma once

#include "results/identity.h"

#include <cstdint>
#include <map>
#include <string>

namespace chunkkv::results {

/// What one repetition took: times in milliseconds, memory in bytes.
struct SpeedSample {
  std::int32_t kept_tokens = 0;
  double prefill_ms = 0;  ///< reading the prompt, without observe, select and move
  double observe_ms = 0, select_ms = 0, move_ms = 0;
  double first_token_ms = 0;                        ///< from the start of reading
  double per_token_ms = 0;                          ///< mean over the tokens after the first
  double total_ms = 0;                              ///< from the start of reading to the last token
  std::uint64_t bytes_before = 0, bytes_after = 0;  ///< of the cache
  std::uint64_t bytes_peak = 0;                     ///< peak of the process
  std::uint64_t bytes_gpu = 0;                      ///< used on the GPU at the end; 0 without one

  double overhead() const { return (observe_ms + select_ms + move_ms) / prefill_ms; }
  /// Tokens a second, read and generated.
  double throughput(std::int64_t input, std::int64_t output) const {
    return 1000 * double(input + output) / total_ms;
  }
};

/// One repetition of a speed measurement.
struct SpeedRecord {
  Origin origin;
  Pair pair;
  std::int64_t input = 0;   ///< tokens
  std::int64_t output = 0;  ///< tokens
  std::int64_t repetition = 0;
  std::map<std::string, double> figures;  ///< "total", "reading", ...: those that the line has
  std::string settings = {};              ///< options that are not at their defaults
  std::int32_t window = 0;  ///< tokens of the method's window that a small budget left; 0: all. Not read back
};

/// Identifies the measurement. Machine and settings are part of it: speed depends on them.
std::string key(const SpeedRecord& record);

/// The columns that identify the measurement; their `result_key` is that of the whole line.
Json identity(const SpeedRecord& record);
/// The whole line.
Json to_json(const SpeedRecord& record, const SpeedSample& sample);
/// Reads a line back; times and sizes may be missing. UsageError says what else it lacks or what is wrong.
SpeedRecord speed_record(const Json& line);
/// Reads back what `to_json` wrote. Error when a value is missing.
SpeedSample speed_sample(const Json& line);

}  // namespace chunkkv::results
