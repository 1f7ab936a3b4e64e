#pragma once

#include "report/ablation.h"
#include "report/needles.h"
#include "report/table.h"

#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// All answers of one benchmark in one setting.
struct AnswerSection {
  Setting setting;
  std::size_t n_samples = 0;    ///< questions
  bool is_judged = false;       ///< a judge model scored the answers
  std::size_t n_undecided = 0;  ///< answers that it could not decide: they are in no table
  double prompt_tokens = 0;     ///< mean
  std::string baseline;         ///< the method whose leads the tables tell; empty where it was not run
  Table groups;                 ///< task types, and the average over all tasks last
  std::vector<std::string> group_tasks;  ///< of each column of `groups`: "hotpotqa, 2wikimqa, musique"
  Table tasks;                           ///< empty where a task type is a task
  Table metrics;                         ///< further scores, averaged over the tasks
  Table lengths;                         ///< by the length of the records: LongBench-E's buckets
  Table questions;                       ///< by a question's place on its document
  std::vector<NeedleGrid> needles;
  std::vector<Ablation> ablations;  ///< of the average
};

/// What is to be said about the section's scores; may be empty.
std::string note_on(const AnswerSection& section);

/// `answers` are of one model and one setting, and not empty. The section's tables are empty where none is
/// decided.
AnswerSection answer_section(std::span<const Answer* const> answers, const std::string& baseline);

}  // namespace chunkkv::report
