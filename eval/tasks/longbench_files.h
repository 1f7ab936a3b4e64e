#pragma once

#include "benchmark.h"
#include "tasks/longbench_tasks.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace chunkkv::eval {

/// The file with a task's records, TASK.jsonl, or TASK with a suffix, in the data folder or in its data/;
/// nothing where it is not there or the options name other tasks. UsageError when they name a task without
/// it.
std::optional<std::filesystem::path> longbench_records(const Options& options, const std::string& task,
                                                       const char* suffix = "");

/// The text of a prompt, in which a record's document replaces {context} and its question {input}.
class PromptTemplate {
 public:
  /// UsageError, naming `source`, when {context} is not in the text exactly once.
  PromptTemplate(const std::string& text, const std::string& source);

  /// The prompt up to the end of the context.
  std::string document(const std::string& context, const std::string& input) const;
  /// The rest of the prompt, after the context.
  std::string question(const std::string& input) const;

 private:
  std::string before_, after_;
};

/// How the records of one task become samples.
struct LongBenchRecipe {
  const LongBenchTask& task;
  PromptTemplate prompt;
  std::int32_t max_new_tokens;
  bool is_own_prompt;  ///< not LongBench's
};

/// The recipes of all tasks, by name. Reads dataset2prompt.json and dataset2maxlen.json from the folder or
/// its config/, or else from the folder one level up or its config/; what they lack is our own. UsageError
/// that names the file when its content is wrong.
std::map<std::string, LongBenchRecipe> longbench_recipes(const std::filesystem::path& folder);

}  // namespace chunkkv::eval
