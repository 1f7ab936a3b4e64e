#include "tasks/longbench_files.h"

#include "data/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <system_error>
#include <utility>
#include <vector>

namespace chunkkv::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kContext = "{context}";
constexpr std::string_view kInput = "{input}";

std::optional<fs::path> find_file(const fs::path& folder, const char* subfolder, const std::string& name) {
  std::error_code error;
  for (const fs::path& path : {folder / name, folder / subfolder / name})
    if (fs::is_regular_file(path, error)) return path;
  return std::nullopt;
}

std::string with_input(std::string text, const std::string& input) {
  for (std::size_t at = text.find(kInput); at != text.npos; at = text.find(kInput, at + input.size()))
    text.replace(at, kInput.size(), input);
  return text;
}

/// The folders above `folder`, which may be the benchmark's data/. Where `folder` is a symbolic link, the
/// folder with the link comes before the one above its target.
std::vector<fs::path> folders_above(const fs::path& folder) {
  std::error_code error;
  const fs::path named = (fs::absolute(folder, error) / "").lexically_normal().parent_path().parent_path();
  return {named, fs::weakly_canonical(folder / "..", error)};
}

std::optional<fs::path> find_config(const fs::path& folder, const std::string& name) {
  std::optional<fs::path> file = find_file(folder, "config", name);
  for (const fs::path& above : folders_above(folder))
    if (!file) file = find_file(above, "config", name);
  return file;
}

/// The object in a config file, and the file's name in `source`; an empty object when the file is missing.
nlohmann::json read_config(const fs::path& folder, const std::string& name, std::string& source) {
  const std::optional<fs::path> file = find_config(folder, name);
  if (!file) return nlohmann::json::object();
  source = fmt::format("'{}'", file->string());
  auto json = nlohmann::json::parse(read_file(*file), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    throw UsageError(fmt::format("{} is no JSON object; take the benchmark's own file, or none", source));
  }
  return json;
}

}  // namespace

std::optional<fs::path> longbench_records(const Options& options, const std::string& task,
                                          const char* suffix) {
  if (!options.wants(task)) return std::nullopt;
  const std::string name = task + suffix + ".jsonl";
  std::optional<fs::path> file = find_file(options.data, "data", name);
  if (!file && !options.tasks.empty()) {
    throw UsageError(
        fmt::format("'{}' has no {}; give LongBench's folder with --data", options.data.string(), name));
  }
  return file;
}

PromptTemplate::PromptTemplate(const std::string& text, const std::string& source) {
  const std::size_t at = text.find(kContext);
  if (at == text.npos || text.find(kContext, at + 1) != text.npos) {
    throw UsageError(
        fmt::format("{}: the prompt must have {} in it once, where the document goes", source, kContext));
  }
  before_ = text.substr(0, at);
  after_ = text.substr(at + kContext.size());
}

std::string PromptTemplate::document(const std::string& context, const std::string& input) const {
  return with_input(before_, input) + context;
}

std::string PromptTemplate::question(const std::string& input) const {
  return with_input(after_, input);
}

std::map<std::string, LongBenchRecipe> longbench_recipes(const fs::path& folder) {
  std::string prompt_source, length_source;
  const nlohmann::json prompt_file = read_config(folder, "dataset2prompt.json", prompt_source);
  const nlohmann::json length_file = read_config(folder, "dataset2maxlen.json", length_source);
  std::map<std::string, LongBenchRecipe> recipes;
  for (const LongBenchTask& task : longbench_tasks()) {
    LongBenchRecipe recipe{task, PromptTemplate(task.prompt, "our own prompt"), task.max_new_tokens, true};
    if (const auto found = prompt_file.find(task.name); found != prompt_file.end()) {
      const std::string source = fmt::format("{}, \"{}\"", prompt_source, task.name);
      if (!found->is_string()) throw UsageError(source + ": the prompt must be a text");
      recipe.prompt = PromptTemplate(found->get<std::string>(), source);
      recipe.is_own_prompt = false;
    }
    if (const auto found = length_file.find(task.name); found != length_file.end()) {
      if (!found->is_number_integer() || *found < 1 || *found > 1 << 20) {
        throw UsageError(fmt::format("{}, \"{}\": the answer's length must be a number of tokens",
                                     length_source, task.name));
      }
      recipe.max_new_tokens = found->get<std::int32_t>();
    }
    recipes.emplace(task.name, std::move(recipe));
  }
  return recipes;
}

}  // namespace chunkkv::eval
