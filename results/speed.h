#pragma once

#include "results/identity.h"

#include <cstdint>
#include <map>
#include <string>

namespace chunkkv::results {

/// What one repetition took. Times in milliseconds, memory in bytes.
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
  std::map<std::string, double> figures;  ///< "total", "reading", ...: those that the line tells

  // What is written only.
  std::string settings = {};
  std::int32_t window = 0;  ///< that a small budget left of the method's; 0: its own
};

/// Names the measurement. Speed is the machine's as well.
std::string key(const SpeedRecord& record);

/// The columns that tell what is measured; their `result_key` is the line's.
Json identity(const SpeedRecord& record);
/// The whole line.
Json to_json(const SpeedRecord& record, const SpeedSample& sample);
/// UsageError names what is wrong with a line, or lacks: all times and sizes may.
SpeedRecord speed_record(const Json& line);
/// What `to_json` wrote. Error when a value is missing.
SpeedSample speed_sample(const Json& line);

}  // namespace chunkkv::results
