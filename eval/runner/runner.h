#pragma once

#include "benchmark.h"
#include "results/line.h"
#include "runner/pairs.h"
#include "runner/score_table.h"
#include "runner/sweep.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace chunkkv::eval {

using results::Json;
using results::result_key;

/// Scores of the answers that exist already, by `result_key`; nothing where the judge was undecided.
using KnownScores = std::unordered_map<std::string, std::optional<double>>;

/// Result lines of answers that no judge has scored yet, by `result_key`.
using SavedAnswers = std::unordered_map<std::string, Json>;

/// What all result lines of a run have in common.
struct RunFacts {
  results::Origin origin = {};
  results::Setting setting = {};  ///< without `query_aware` and `cells`, which the sweep knows
  /// Settings not at their defaults that change only answers to prompts read in pieces, as text: "ub=256".
  std::string bounded_settings = {};
};

struct RunnerOptions {
  Shard shard = {};
  bool skip_broken = false;
  bool score_rest = true;       ///< score answers also without their first tokens; false with a judge
  std::int32_t max_tokens = 0;  ///< tokens in a context at most; longer prompts are refused
};

/// The samples, questions and answers of a run, and the part that is still to be done.
struct Survey {
  struct Item {
    std::size_t index = 0;           ///< index of the sample
    std::vector<std::size_t> pairs;  ///< pairs that lack an answer
    std::size_t n_answers = 0;       ///< answers that are missing
    Sweep::Size size;
    double effort = 0;  ///< work in tokens read; a generated token counts as several
  };
  std::vector<Item> todo;

  struct Task {
    std::size_t n_samples = 0, n_questions = 0;
    std::int32_t shortest = 0, longest = 0;  ///< of the prompts, in tokens that are read before compression
    std::int64_t n_tokens = 0;
    std::size_t n_answers = 0, n_missing = 0;
  };
  std::map<std::string, Task> tasks;

  struct SmallWindow {
    std::size_t n_samples = 0;
    std::string first_example;  ///< the first such sample, and the window that was left
  };
  std::map<std::size_t, SmallWindow> small_windows;  ///< by pair whose budget is too small for its window
  std::vector<std::string> broken;                   ///< messages of the records that were skipped
  std::size_t n_answers = 0, n_missing = 0;
};

/// How far a run is.
struct RunState {
  std::size_t sample = 0, n_samples = 0;  ///< the one in work, counted from 1, of those to do
  std::string task = {};
  bool reading = false;
  ReadState read = {};  ///< valid while `reading`
  std::size_t n_answers = 0, n_missing = 0;
  double share = 0;  ///< part of the run's effort that is done, 0..1
};

struct RunEvents {
  std::function<bool(std::size_t done, std::size_t total)>
      surveying;                                  ///< counts samples; false stops with Interrupted
  std::function<bool(const RunState&)> progress;  ///< false stops with Interrupted
  std::function<void(const std::string&)> note;   ///< gets a sentence about what is left out
  /// Gets each line before it is scored, since scoring may take long or fail.
  std::function<void(const Json&)> answered = {};
};

/// Runs a benchmark: answers every sample, pair and question that has no known score, one result line each.
class Runner {
 public:
  Runner(const Benchmark& benchmark, const Samples& samples, Sweep& sweep, RunFacts facts,
         const RunnerOptions& options, RunEvents events);

  /// Looks at every sample of the shard before any is run, so that unusable ones are reported at once.
  /// BrokenRecord unless broken records are skipped; UsageError for a prompt that is too long; Interrupted.
  Survey survey(const KnownScores& known);

  /// Scores the saved answers that `survey` still misses, writes their lines, adds their scores to `known`
  /// and takes them out of what is to be done. Interrupted when asked to stop.
  void score_saved(Survey& survey, KnownScores& known, const SavedAnswers& saved,
                   const std::function<void(const Json&)>& write);

  /// Answers what is to be done and passes each line to `write`. Interrupted when asked to stop; all lines so
  /// far are written then.
  void run(const Survey& survey, const KnownScores& known, const std::function<void(const Json&)>& write);

  /// Mean scores of the known answers of this run and the new ones.
  const ScoreTable& table() const { return table_; }

 private:
  /// The record of one question to the model under one pair, still without its answer and score. `n_prompt`:
  /// tokens that are read before compression; `data`: the sample's digest.
  results::AnswerRecord record_of(std::size_t pair, const Sample& sample, std::size_t question,
                                  std::int32_t n_prompt, const std::string& data) const;
  /// The key of that record.
  std::string key_of(std::size_t pair, const Sample& sample, std::size_t question, std::int32_t n_prompt,
                     const std::string& data) const;
  /// The line of an answer with its scores; `RunEvents::answered` sees it before it is scored.
  Json scored_line(const results::AnswerRecord& record, const Sample& sample, const Outcome& outcome);
  /// Reads a sample for `pairs` and answers with each. Notes and leaves out a budget that does not fit.
  void answer_pairs(const Sample& sample, std::span<const std::size_t> pairs, const SweepEvents& events,
                    const Sample* next);
  /// The digest of all that the sample's answers and scores depend on.
  std::string data_of(const Sample& sample, const Sweep::Size& size) const;
  /// Adds a sample to the survey. BrokenRecord for a record that was there before.
  void add_to_survey(const Sample& sample, std::size_t index, const KnownScores& known, Survey& survey);

  const Benchmark& benchmark_;
  const Samples& samples_;
  Sweep& sweep_;
  RunFacts facts_;
  RunnerOptions options_;
  RunEvents events_;
  ScoreTable table_;
  std::unordered_map<std::string, std::string> sources_;  ///< Sample::source of the samples looked at, by key
};

}  // namespace chunkkv::eval
