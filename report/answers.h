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
  double prompt_tokens = 0;     ///< mean over the answers
  std::string baseline;         ///< the method that leads are measured against; empty where it was not run
  Table groups;                 ///< task types, and the average over all tasks last
  std::vector<std::string> group_tasks;  ///< for each column of `groups`: "hotpotqa, 2wikimqa, musique"
  Table tasks;                           ///< by task; empty where each task type is one task
  Table metrics;                         ///< further scores, averaged over the tasks
  Table lengths;                         ///< by the length of the records: LongBench-E's buckets
  Table questions;                       ///< by the number of the question on its document
  std::vector<NeedleGrid> needles;
  std::vector<Ablation> ablations;  ///< of the average over all tasks
};

/// A note for readers on the section's scores; may be empty.
std::string note_on(const AnswerSection& section);

/// `answers` must be of one model and one setting, and not empty. The section's tables are empty where the
/// judge decided none of them.
AnswerSection answer_section(std::span<const Answer* const> answers, const std::string& baseline);

}  // namespace chunkkv::report
