#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// Where a folder with LongBench's files has the records of a task: NAME.jsonl in it or in its data/.
std::optional<std::filesystem::path> longbench_records(const std::filesystem::path& folder,
                                                       const std::string& name);

/// A prompt around a record: {context} is where the document goes, {input} the question.
class PromptTemplate {
 public:
  /// UsageError, naming `source`, when {context} is not in it exactly once.
  PromptTemplate(const std::string& text, const std::string& source);

  /// What comes before the question: up to the end of the context.
  std::string document(const std::string& context, const std::string& input) const;
  std::string question(const std::string& input) const;

 private:
  std::string before_, after_;
};

/// dataset2prompt.json and dataset2maxlen.json of the folder or its config/, or else of the folder one level
/// up or its config/; empty maps where they are missing. UsageError with the file when they are not what they
/// should be.
struct LongBenchConfig {
  explicit LongBenchConfig(const std::filesystem::path& folder);

  std::map<std::string, PromptTemplate, std::less<>> prompts;
  std::map<std::string, std::int32_t, std::less<>> max_new_tokens;
};

}  // namespace chunkkv::eval
