#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// Scores an answer against one reference; `classes` is empty except for classification.
using LongBenchMetric = double (*)(std::string_view answer, std::string_view reference,
                                   std::span<const std::string> classes);

/// One of LongBench's English and code tasks (arXiv 2308.14508).
struct LongBenchTask {
  std::string name;
  std::string group;
  LongBenchMetric metric;
  std::int32_t max_new_tokens;  ///< used where the data folder has no number
  std::string prompt;           ///< our own PromptTemplate, used where the data folder has none
  bool plain = false;           ///< read without a chat template, since it continues examples or code
  bool one_line = false;        ///< only the first line of an answer counts
  bool in_e = true;             ///< also in LongBench-E
  std::vector<std::string> stops = {};
};

/// All tasks, in the order of the paper's table.
std::span<const LongBenchTask> longbench_tasks();
/// The task of this name. Throws std::logic_error, as for a bug, when there is none.
const LongBenchTask& longbench_task(std::string_view name);

/// The answer's first line after leading line breaks, which LongBench scores in its few-shot tasks.
std::string_view first_line(std::string_view answer);

/// The best score over the references, after the task's post-processing.
double longbench_score(const LongBenchTask& task, std::string_view answer,
                       std::span<const std::string> references, std::span<const std::string> classes);

}  // namespace chunkkv::eval
