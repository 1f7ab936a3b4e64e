#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::eval {

/// Score of an answer against one reference; `classes` is empty but for classification.
using LongBenchMetric = double (*)(std::string_view answer, std::string_view reference,
                                   std::span<const std::string> classes);

/// One of LongBench's English and code tasks (arXiv 2308.14508).
struct LongBenchTask {
  std::string name;
  std::string group;
  LongBenchMetric metric;
  std::int32_t max_new_tokens;  ///< where the data folder does not say
  std::string prompt;           ///< our own, where the data folder has none; with {context} and {input}
  bool plain = false;           ///< read without a chat template: examples or code to be continued
  bool one_line = false;        ///< only the first line of an answer counts
  bool in_e = true;             ///< also in LongBench-E
  std::vector<std::string> stops = {};
};

/// In the order of the paper's table.
std::span<const LongBenchTask> longbench_tasks();
/// A bug when there is no such task.
const LongBenchTask& longbench_task(std::string_view name);

/// The best score over the references, after the task's post-processing.
double longbench_score(const LongBenchTask& task, std::string_view answer,
                       std::span<const std::string> references, std::span<const std::string> classes);

/// LongBench-E's buckets by a record's length in words: "0-4k", "4-8k" or "8k+".
std::string_view length_bucket(double words);

}  // namespace chunkkv::eval
