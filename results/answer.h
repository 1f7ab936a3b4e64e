#pragma once

#include "results/identity.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::results {

/// One answer. Scores and metrics are 0 .. 1.
struct AnswerRecord {
  Origin origin;
  Setting setting;
  Sample sample;
  Pair pair;
  std::int64_t prompt_tokens = 0;
  double score = 0;
  bool undecided = false;  ///< the judge gave no clear verdict: there is no score
  std::map<std::string, double> metrics;
  std::optional<double> length;  ///< tokens of a needle's haystack, words of a LongBench record
  std::optional<double> depth;   ///< 0 .. 1, of a needle

  // What is written only.
  std::int32_t window = 0;                   ///< that a small budget left of the method's; 0: its own
  std::map<std::string, double> facts = {};  ///< of the sample; `length` and `depth` are among them
};

/// What an answer cost.
struct AnswerCost {
  std::int32_t prompt_tokens = 0;  ///< read before the cache was compressed
  std::int32_t kept_tokens = 0;    ///< of them; all where the answer ended before the plan chose
  std::uint64_t bytes_before = 0;  ///< of the cache, keys and values of all layers
  std::uint64_t bytes_after = 0;
  std::int32_t compressions = 0;  ///< while answering
  bool ended_before = false;      ///< the answer ended before the plan had observed enough of it to choose
  struct Milliseconds {
    double prefill = 0;      ///< reading what is not taken from the sample before, without observe and select
    double observe = 0;      ///< of all pairs that share the reading
    double select = 0;       ///< likewise
    double restore = 0;      ///< bringing the full cache back
    double move = 0;         ///< compressing
    double first_token = 0;  ///< from the compressed cache to the first token, reading the question included
  } ms = {};
};

/// What was answered.
struct AnswerText {
  std::string_view text;
  std::size_t n_tokens = 0;
  std::string_view stop;               ///< why it ended
  std::optional<double> per_token_ms;  ///< of the tokens after the first
};

/// Names the measurement but for its data. A needle's grid may be in its id or not.
std::string key(const AnswerRecord& record);

/// The columns that tell what is asked of whom; their `result_key` is the line's.
Json identity(const AnswerRecord& record);
/// The whole line but for the score, which is null.
Json to_json(const AnswerRecord& record, const AnswerCost& cost, const AnswerText& answer);
/// UsageError names what is wrong with a line, or lacks.
AnswerRecord answer_record(const Json& line);

/// How an answer was scored.
struct Scoring {
  double value = 0;
  std::map<std::string, double> metrics;
  std::string undecided;       ///< why there is no score
  std::optional<double> rest;  ///< of the answer without its first tokens
};

/// Puts the score into a line; where it is undecided it stays null, and "undecided" tells why.
void set_score(Json& line, const Scoring& score);

}  // namespace chunkkv::results
