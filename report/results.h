#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::report {

/// Where a line comes from.
struct Origin {
  std::string model;       ///< file name
  std::string model_hash;  ///< empty where the line has none: then the file name tells models apart
  std::string version;
  std::string machine;
  std::optional<std::int64_t> seed;
};

/// Equal for lines of the same model.
std::string model_key(const Origin& origin);

/// What was done to the cache: a method's canonical spec and a canonical budget.
struct Pair {
  std::string method;
  std::string keep;

  auto operator<=>(const Pair&) const = default;
};

/// Lines of different settings are never averaged.
struct Setting {
  std::string benchmark;
  bool query_aware = true;      ///< the question was read before the cache was compressed
  std::int64_t cells = 0;       ///< of a bounded prefill; 0: the whole prompt was in the cache
  std::int64_t max_length = 0;  ///< prompts were cut to this many tokens; 0: not cut
  std::string others = {};      ///< what else was not at its default: "n=16 ctk=q8_0"

  auto operator<=>(const Setting&) const = default;
};

/// What names a sample within its setting.
struct Sample {
  std::string task;
  std::string group;  ///< task type
  std::string id;
  std::int64_t question = 0;  ///< of several on one document
  std::string data = {};      ///< digest of what was asked; empty where the line has none

  /// Of the record: equal for the questions on one document.
  std::string record() const { return id + '\x1e' + data; }
};

/// One answer. Scores and metrics are 0 .. 1.
struct Answer {
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
};

/// How far one compressed cache is from the full one.
struct Fidelity {
  Origin origin;
  Setting setting;
  Sample sample;
  Pair pair;
  std::map<std::string, double> figures;        ///< those of fidelity_figures() that the line has
  std::vector<double> kv_l1_layers;             ///< [layer], empty where the line has none
  std::vector<double> attention_cosine_layers;  ///< [layer]
  std::vector<std::vector<double>> similarity;  ///< [layer][layer], Jaccard
};

/// One repetition of a speed measurement. Times in milliseconds, memory in bytes.
struct Speed {
  Origin origin;
  Pair pair;
  std::int64_t input = 0;   ///< tokens
  std::int64_t output = 0;  ///< tokens
  std::int64_t repetition = 0;
  std::map<std::string, double> figures;  ///< those of speed_figures() that the line has
};

/// Everything that was read, in the order of reading.
struct Results {
  std::vector<std::string> files;
  std::int64_t n_lines = 0;     ///< without empty ones
  std::int64_t n_repeated = 0;  ///< lines that were left out, as another one tells the same measurement
  std::vector<Answer> answers;
  std::vector<Fidelity> fidelity;
  std::vector<Speed> speed;
};

/// Adds the lines of one JSONL text. Of several lines of one measurement the first counts, as in `eval
/// merge`; a line that does not tell its data gives way to one that does. Keys that are not known are passed
/// over. Error names `file` and the line that is broken.
class ResultReader {
 public:
  void read(const std::string& file, std::string_view text);
  const Results& results() const { return results_; }

 private:
  void read_line(std::string_view text);
  /// Adds `line`, unless its measurement is known.
  template <class Line>
  void put(std::vector<Line>& lines, Line line);

  Results results_;
  /// Of a measurement among the lines of its kind, by what names it and by its data.
  std::map<std::string, std::map<std::string, std::size_t>> places_;
};

}  // namespace chunkkv::report
