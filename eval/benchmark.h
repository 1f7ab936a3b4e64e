#pragma once

#include <chunkkv/error.h>
#include <chunkkv/types.h>

#include <algorithm>
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

/// Benchmarks: where samples come from and how answers are scored. Nothing here uses a model or the engine.
namespace chunkkv::eval {

/// Turns text into tokens and back, for the model that is to answer. Thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Adds the special tokens that the model puts around a text (such as BOS).
  virtual std::vector<Token> encode(std::string_view text) const = 0;
  /// Leaves special tokens out: all of encode(text) gives `text`, and tokens from its middle give that part
  /// of the text. A cut may split a character, so the bytes need not be valid UTF-8.
  virtual std::string decode(std::span<const Token> tokens) const = 0;
};

struct Question {
  std::string text;
  std::vector<std::string> references;  ///< what `score` compares the answer with; may be empty
};

/// A document and what is asked about it.
///
/// The prompt is the document, directly followed by the first question's text; together they are one message
/// of the user. Query-agnostic compression sees the document only. Each further question is a message of its
/// own after the previous answer (without a chat template: after a blank line).
struct Sample {
  std::string id;      ///< the record's id, or one that the benchmark makes
  std::string task;    ///< "hotpotqa"
  std::string group;   ///< type of the task: "multi-document QA"
  std::string source;  ///< origin of the sample, for messages: "'hotpotqa.jsonl', line 3"

  std::string document;             ///< the text, after the benchmark's instructions; may be empty
  std::vector<Question> questions;  ///< at least one; the first one's text may be empty

  bool chat_template = true;        ///< false: read as plain text even by a model that has a template
  std::int32_t max_new_tokens = 0;  ///< limit for each answer, in tokens
  std::vector<std::string> stops;   ///< an answer ends before the first of these texts; see find_stop

  std::vector<std::string> classes;  ///< labels of a classification task
  /// Figures for the result line: "length" in words or tokens, "depth" and "reached_depth" 0..1.
  std::map<std::string, double> facts;

  std::string prompt() const { return document + questions.front().text; }
};

struct Score {
  double value = 0;                       ///< 0..1, higher is better
  std::map<std::string, double> metrics;  ///< further scores by name, 0..1
  /// Where the judge gave no clear verdict, a sentence that says so, and `value` means nothing; else empty.
  std::string undecided = {};
};

/// A record that cannot be used; the message names file and line. A run may skip it and use the others.
class BrokenRecord : public Error {
 public:
  using Error::Error;
};

/// The samples of one run in a fixed order. Each is read and made when it is asked for, so a run holds two at
/// most, and samples can be taken in any order.
class Samples {
 public:
  virtual ~Samples() = default;

  virtual std::size_t size() const = 0;
  /// BrokenRecord when the sample's record is broken, Error when a file can no longer be read.
  virtual Sample at(std::size_t index) const = 0;
};

/// Options of the tests that hide needles in a haystack.
struct NeedleOptions {
  std::vector<std::int32_t> lengths = {};  ///< prompt tokens; empty: 1000, 2000, 4000 .. max_length or 8000
  std::vector<double> depths = {};         ///< 0..1; empty: 0, 0.1 .. 1
  std::int32_t needles = 4;  ///< needles, key-value pairs (asked and distracting) or links of a chain
  std::int32_t repeats = 1;  ///< samples per length and depth, each with other text and needles
};

inline constexpr std::int32_t kJudgeTokens = 1024;

/// A chat model behind an OpenAI-compatible endpoint that judges answers in place of a list of phrases.
struct JudgeOptions {
  std::string url = {};                ///< "http://localhost:8080/v1"; empty: no judge
  std::string model = {};              ///< name of the model at the endpoint; may be empty
  std::string key = {};                ///< bearer token; may be empty
  std::int32_t tokens = kJudgeTokens;  ///< limit of a reply; a judge that thinks needs more
  /// Waits before a busy endpoint is asked again, and may throw Interrupted. Empty: the thread sleeps.
  std::function<void(std::chrono::seconds, const std::string& reason)> wait = {};
};

struct Options {
  std::filesystem::path data = {};      ///< the benchmark's folder (jailbreakv: also the file itself)
  std::vector<std::string> tasks = {};  ///< empty: all tasks whose data is there
  std::int32_t limit = 0;               ///< samples per task; 0: all
  std::int32_t max_length = 0;          ///< prompt tokens before the chat template, where a benchmark can
                                        ///< make its prompts shorter; 0: any number
  std::uint64_t seed = 0;
  NeedleOptions needle = {};  ///< used by niah and multiturn's key-value task
  /// Worked examples in the prompts of gsm8k (8 if not given) and gsm8k-manyshot (50).
  std::optional<std::int32_t> shots = {};
  std::int32_t questions = 4;  ///< questions per document of multiturn
  JudgeOptions judge = {};     ///< used by jailbreakv

  /// Whether a task is to be run: all are, unless some are named.
  bool wants(std::string_view task) const {
    return tasks.empty() || std::find(tasks.begin(), tasks.end(), task) != tasks.end();
  }
};

class Benchmark {
 public:
  virtual ~Benchmark() = default;

  /// The samples of a run; they refer to the benchmark and the tokenizer, which must outlive them. UsageError
  /// when the data folder does not hold what is asked for.
  virtual std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const = 0;
  /// Post-processes and scores the model's raw answer to `sample.questions[question]`. Thread-safe. Error
  /// only when a judge cannot be reached, refuses or stays busy; Interrupted from JudgeOptions::wait.
  virtual Score score(const Sample& sample, std::size_t question, std::string_view answer) const = 0;
  /// Sentences that a user should read before a run, such as that the benchmark's own prompts are missing.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// What users see of a benchmark.
struct BenchmarkInfo {
  std::string name;
  std::string description;         ///< one line
  std::string data;                ///< what the data folder holds, one line
  std::vector<std::string> tasks;  ///< names allowed in Options::tasks, in the order of the samples
  std::function<std::unique_ptr<Benchmark>(const Options&)> make;
};

/// All benchmarks, in the order in which they are listed to users.
std::span<const BenchmarkInfo> benchmarks();

/// Makes the benchmark `name`. For an unknown benchmark or task or a wrong option value, throws a UsageError
/// that names what is allowed.
std::unique_ptr<Benchmark> make_benchmark(std::string_view name, const Options& options);

/// Offset of the first stop string in `answer`, where the answer ends; npos when there is none. White space
/// at the beginning of the answer never ends it, since models like to begin with a line break.
std::size_t find_stop(std::string_view answer, std::span<const std::string> stops);

}  // namespace chunkkv::eval
