#pragma once

#include <chunkkv/session.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::cli {

/// Measures what compression costs and gains, against two references in the same run: the full cache, and a
/// plain prompt that is as long as what was kept.
class Measurement {
 public:
  Measurement(Session& session, std::span<const Token> tokens, std::int32_t n_predict,
              std::span<const Plan> plans);

  /// Reads the prompt once for plan `index` and generates from the full cache, from the kept one and from
  /// a plain prompt of the kept length.
  void run(std::size_t index, const Progress& progress = {});

  std::string table() const;
  nlohmann::ordered_json to_json() const;

 private:
  struct Sample {
    double read_ms, observe_ms, select_ms, move_ms;
    double full_ms, kept_ms, plain_ms;  ///< per generated token
    std::int32_t n_kept;

    double prefill_ms() const { return read_ms + observe_ms + select_ms; }
    double overhead() const { return (observe_ms + select_ms + move_ms) / read_ms; }
  };
  double ms_per_token();

  Session& session_;
  Sequence& sequence_;
  std::span<const Token> tokens_;
  std::int32_t n_predict_;
  std::span<const Plan> plans_;
  std::vector<std::vector<Sample>> samples_;  ///< [plan][repetition]
};

}  // namespace chunkkv::cli
