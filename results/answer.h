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
  std::optional<double> depth;   ///< of a needle in its haystack, 0 .. 1

  // Only written, not read back.
  std::int32_t window = 0;  ///< tokens of the method's window that a small budget left; 0: all
  std::map<std::string, double> facts = {};  ///< the sample's own columns, such as `length` and `depth`
};

/// Tokens, memory and time that an answer took.
struct AnswerCost {
  std::int32_t prompt_tokens = 0;  ///< tokens read before the cache was compressed
  std::int32_t kept_tokens = 0;    ///< tokens kept of them; all where the answer ended before the plan chose
  std::uint64_t bytes_before = 0;  ///< of the prompt's keys and values in all layers, before compression
  std::uint64_t bytes_after = 0;   ///< of what is kept of them
  std::int32_t compressions = 0;   ///< compressions while answering
  bool ended_before_choice = false;  ///< the answer ended before the plan had observed enough of it to choose
  struct Milliseconds {
    double prefill = 0;  ///< reading what is not shared with the sample before, without observe and select
    double observe = 0;  ///< observing, for all pairs that share the reading
    double select = 0;   ///< choosing, for all pairs that share the reading
    double restore = 0;  ///< restoring the full cache
    double move = 0;     ///< moving kept rows and dropping cells
    double first_token = 0;  ///< from the compressed cache to the first token, reading the question included
  } ms = {};
};

/// An answer as it was generated.
struct AnswerText {
  std::string_view text;
  std::size_t n_tokens = 0;
  std::string_view stop;               ///< why the answer ended
  std::optional<double> per_token_ms;  ///< mean over the tokens after the first; none without those
};

/// Identifies the measurement, without the digest of its data. Holds a needle's length and depth, which its
/// id may lack.
std::string key(const AnswerRecord& record);

/// The columns that identify the measurement; their `result_key` is that of the whole line.
Json identity(const AnswerRecord& record);
/// The whole line, with null as its score.
Json to_json(const AnswerRecord& record, const AnswerCost& cost, const AnswerText& answer);
/// Reads a line back. UsageError says what it lacks or what is wrong with it.
AnswerRecord answer_record(const Json& line);

/// How an answer was scored.
struct Scoring {
  double value = 0;
  std::map<std::string, double> metrics;
  std::string undecided;       ///< why there is no score; empty where there is one
  std::optional<double> rest;  ///< score of the answer without its first tokens
};

/// Puts the score into a line. An undecided score is null, and "undecided" tells why.
void set_score(Json& line, const Scoring& score);

}  // namespace chunkkv::results
