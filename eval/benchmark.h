#pragma once

#include <chunkkv/error.h>
#include <chunkkv/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Benchmarks: where samples come from and how answers are scored. Nothing here knows a model or the engine.
namespace chunkkv::eval {

/// Text to tokens and back, of the model that is to answer. Calls from several threads are allowed.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// With the special tokens that the model puts around a text (as BOS).
  virtual std::vector<Token> encode(std::string_view text) const = 0;
  /// Without special tokens: the whole of encode(text) gives text, and tokens from its middle its middle. A
  /// cut may split a character: the bytes need not be valid UTF-8.
  virtual std::string decode(std::span<const Token> tokens) const = 0;
};

struct Question {
  std::string text;
  std::vector<std::string> references;  ///< what `score` compares with; a benchmark may have none
};

/// A document and what is asked about it.
///
/// The prompt is the document, directly followed by the first question's text; together they are one message
/// of the user. Query-agnostic compression sees the document only. Further questions are messages of their
/// own, after the answer before (without a chat template: after a blank line).
struct Sample {
  std::string id;      ///< the record's own
  std::string task;    ///< "hotpotqa"
  std::string group;   ///< type of the task: "multi-document QA"
  std::string source;  ///< where it comes from, for messages: "'hotpotqa.jsonl', line 3"

  std::string document;             ///< with the instructions that come before it; may be empty
  std::vector<Question> questions;  ///< at least one; the first one's text may be empty

  bool chat_template = true;        ///< false: read as plain text even by a model that has a template
  std::int32_t max_new_tokens = 0;  ///< for every answer
  std::vector<std::string> stops;   ///< the answer ends before the first of these; see find_stop

  std::vector<std::string> classes;  ///< labels of a classification task
  /// Go into the result line: "length" in words or tokens, "depth" 0..1, "reached_depth" likewise.
  std::map<std::string, double> facts;

  std::string prompt() const { return document + questions.front().text; }
};

struct Score {
  double value = 0;                       ///< 0..1, higher is better
  std::map<std::string, double> metrics;  ///< further ones by name, 0..1
  /// Why there is no score, as a sentence: the judge gave no clear verdict. Then `value` means nothing.
  std::string undecided = {};
};

/// A record that cannot be used; the message names file and line. It may be skipped, the others are fine.
class BrokenRecord : public Error {
 public:
  using Error::Error;
};

/// The samples of one run in a fixed order. They are read and made when they are asked for, so a run holds
/// one at a time, and any part of them can be taken in any order.
class Samples {
 public:
  virtual ~Samples() = default;

  virtual std::size_t size() const = 0;
  /// BrokenRecord when its record is broken, Error when a file cannot be read any more.
  virtual Sample at(std::size_t index) const = 0;
};

/// Needles and haystacks.
struct NeedleOptions {
  std::vector<std::int32_t> lengths = {};  ///< prompt tokens; empty: 1000, 2000, 4000 .. max_length or 8000
  std::vector<double> depths = {};         ///< 0..1; empty: 0, 0.1 .. 1
  std::int32_t needles = 4;  ///< needles, key-value pairs (asked and distracting) or links of a chain
  std::int32_t repeats = 1;  ///< samples a cell of the grid, each with other text and needles
};

inline constexpr std::int32_t kJudgeTokens = 1024;

/// Who judges answers in place of a list of phrases: a chat model behind an OpenAI-compatible endpoint.
struct JudgeOptions {
  std::string url = {};                ///< "http://localhost:8080/v1"; empty: no judge
  std::string model = {};              ///< name the endpoint knows it by; may be empty
  std::string key = {};                ///< bearer token; may be empty
  std::int32_t tokens = kJudgeTokens;  ///< of a reply at most; a judge that thinks needs room for it
  /// Waits before a busy endpoint is asked again, and may throw Interrupted; empty: only waits.
  std::function<void(std::chrono::seconds, const std::string& reason)> wait = {};
};

struct Options {
  std::filesystem::path data = {};      ///< the benchmark's folder (jailbreakv: also the file itself)
  std::vector<std::string> tasks = {};  ///< empty: all whose data is there
  std::int32_t limit = 0;               ///< records a task; 0: all
  std::int32_t max_length = 0;          ///< prompt tokens before the chat template, where a benchmark can
                                        ///< make its prompts shorter; 0: any number
  std::uint64_t seed = 0;
  NeedleOptions needle = {};  ///< niah, and multiturn's key-value task
  /// gsm8k (8 if not given) and gsm8k-manyshot (50): worked examples in the prompt.
  std::optional<std::int32_t> shots = {};
  std::int32_t questions = 4;  ///< multiturn: questions a document
  JudgeOptions judge = {};     ///< jailbreakv
};

class Benchmark {
 public:
  virtual ~Benchmark() = default;

  /// They must outlive neither the benchmark nor the tokenizer. UsageError when the data folder does not hold
  /// what is asked for.
  virtual std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const = 0;
  /// Of the model's raw answer to `sample.questions[question]`; post-processing is done here. Thread-safe.
  /// Error only when a judge cannot be reached.
  virtual Score score(const Sample& sample, std::size_t question, std::string_view answer) const = 0;
  /// What a user should know before a run, a sentence each: where the benchmark's own prompts are missing.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// One benchmark as users see it.
struct BenchmarkInfo {
  std::string name;
  std::string description;         ///< one line
  std::string data;                ///< what the data folder holds, one line
  std::vector<std::string> tasks;  ///< every name that Options::tasks may have, in the order of the samples
  std::function<std::unique_ptr<Benchmark>(const Options&)> make;
};

/// All benchmarks, in the order in which they are listed to users.
std::span<const BenchmarkInfo> benchmarks();

/// UsageError names what is allowed when there is no such benchmark, task or option value.
std::unique_ptr<Benchmark> make_benchmark(std::string_view name, const Options& options);

/// Offset at which `answer` ends because of a stop string; npos when it goes on. White space before
/// the answer's first other character never ends it: models like to begin with a line break.
std::size_t find_stop(std::string_view answer, std::span<const std::string> stops);

}  // namespace chunkkv::eval
