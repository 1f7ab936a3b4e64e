#pragma once

#include "benchmark.h"
#include "results/line.h"
#include "runner/answer_line.h"
#include "runner/pairs.h"
#include "runner/score_table.h"
#include "runner/sweep.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace chunkkv::eval {

using results::Json;
using results::result_key;

/// Scores of the answers that there are already, by `result_key`; nothing where the judge was undecided.
using KnownScores = std::unordered_map<std::string, std::optional<double>>;

/// Lines of answers that no judge has seen yet, by `result_key`.
using SavedAnswers = std::unordered_map<std::string, Json>;

struct RunnerOptions {
  Shard shard = {};
  bool skip_broken = false;
  bool score_rest = true;       ///< also without the first tokens; false where a judge is asked
  std::int32_t max_tokens = 0;  ///< the model's window; longer prompts are refused
};

/// What a run consists of, and what of it is still to be done.
struct Survey {
  struct Item {
    std::size_t index = 0;           ///< of the sample
    std::vector<std::size_t> pairs;  ///< that miss an answer
    std::size_t n_answers = 0;       ///< missing
    Sweep::Size size;
    double effort = 0;  ///< in tokens read; a token that is generated takes as long as several
  };
  std::vector<Item> todo;

  struct Task {
    std::size_t n_samples = 0, n_questions = 0;
    std::int32_t shortest = 0, longest = 0;  ///< tokens that are read before compression
    std::int64_t n_tokens = 0;
    std::size_t n_answers = 0, n_missing = 0;
  };
  std::map<std::string, Task> tasks;

  struct SmallWindow {
    std::size_t n_samples = 0;
    std::string first;  ///< what became of the window, and for which sample first
  };
  std::map<std::size_t, SmallWindow> small_windows;  ///< pairs whose budgets are too small for their windows
  std::vector<std::string> broken;                   ///< records that were skipped
  std::size_t n_answers = 0, n_missing = 0;
};

/// How far a run is.
struct RunState {
  std::size_t sample = 0, n_samples = 0;  ///< the one in work, from 1, of those to do
  std::string task = {};
  bool reading = false;
  ReadState read = {};  ///< while reading
  std::size_t n_answers = 0, n_missing = 0;
  double share = 0;  ///< of the whole effort, 0..1
};

struct RunEvents {
  std::function<bool(std::size_t done, std::size_t total)>
      surveying;                                  ///< samples; false stops with Interrupted
  std::function<bool(const RunState&)> progress;  ///< false stops with Interrupted
  std::function<void(const std::string&)> note;   ///< something that is left out, as a sentence
  std::function<void(const Json&)> answered =
      {};  ///< a line before it is scored, which may take long or fail
};

/// Runs a benchmark: all samples, pairs and questions that are not known yet, a line each.
class Runner {
 public:
  Runner(const Benchmark& benchmark, const Samples& samples, Sweep& sweep, RunFacts facts,
         const RunnerOptions& options, RunEvents events);

  /// Looks at every sample before any is run, so that what cannot be used is told at once. BrokenRecord
  /// unless broken records are skipped; UsageError for a prompt that is too long.
  Survey survey(const KnownScores& known);

  /// Scores saved answers of `survey`, writes their lines and takes them out of what is to be done.
  void score_saved(Survey& survey, KnownScores& known, const SavedAnswers& saved,
                   const std::function<void(const Json&)>& write);

  /// Interrupted when asked to stop; all lines so far are in the file then.
  void run(const Survey& survey, const KnownScores& known, const std::function<void(const Json&)>& write);

  /// Of the known answers of this run and the new ones.
  const ScoreTable& table() const { return table_; }

 private:
  /// The key of the answer to one question under one pair.
  std::string key_of(std::size_t pair, const Sample& sample, std::size_t question, std::int32_t n_prompt,
                     const std::string& data) const;
  void add_score(const std::string& task, std::size_t pair, const Json& line);
  /// The digest of all that its answers and scores depend on.
  std::string data_of(const Sample& sample, const Sweep::Size& size) const;
  /// BrokenRecord for a record that was there before.
  void look_at(const Sample& sample, std::size_t index, const KnownScores& known, Survey& survey);

  const Benchmark& benchmark_;
  const Samples& samples_;
  Sweep& sweep_;
  RunFacts facts_;
  RunnerOptions options_;
  RunEvents events_;
  ScoreTable table_;
  std::unordered_map<std::string, std::string> sources_;  ///< of the samples that were looked at, by key
};

}  // namespace chunkkv::eval
