#include "data/jsonl.h"
#include "tasks/list.h"
#include "tasks/longbench_files.h"
#include "tasks/sample_list.h"
#include "tasks/truncate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace chunkkv::eval {
namespace {

namespace fs = std::filesystem;

Sample make_sample(const LongBenchRecipe& recipe, const Record& record) {
  const std::string input = record.text_or_empty("input");
  const LongBenchTask& task = recipe.task;
  Sample sample;
  sample.id = record.id("_id");
  sample.task = task.name;
  sample.group = task.group;
  sample.source = record.source();
  sample.document = recipe.prompt.document(record.text("context"), input);
  sample.questions = {{recipe.prompt.question(input), record.texts("answers")}};
  sample.chat_template = !task.plain;
  sample.max_new_tokens = recipe.max_new_tokens;
  sample.stops = task.stops;
  if (task.name == "trec") sample.classes = record.texts("all_classes");
  if (const auto words = record.number("length")) sample.facts["length"] = *words;
  return sample;
}

/// LongBench, and LongBench-E, which has other records, of evenly spread lengths, for most of the tasks.
class LongBench final : public Benchmark {
 public:
  LongBench(Options options, bool e) : options_(std::move(options)), e_(e) {}

  std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const override {
    const auto recipes = longbench_recipes(options_.data);
    auto list = std::make_unique<SampleList>();
    for (const auto& [task, file] : files()) {
      const JsonLines records(file);
      list->add(
          records.size(), options_.limit,
          [recipe = recipes.at(task), records, &tokenizer, max_length = options_.max_length](std::size_t i) {
            Sample sample = make_sample(recipe, records.at(i));
            truncate_middle(sample.document, sample.questions.front().text, max_length, tokenizer);
            return sample;
          });
    }
    return list;
  }

  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override {
    const Question& asked = sample.questions.at(question);
    return {longbench_score(longbench_task(sample.task), answer, asked.references, sample.classes), {}};
  }

  std::vector<std::string> notes() const override {
    const auto recipes = longbench_recipes(options_.data);
    std::vector<std::string> own;
    for (const auto& [task, file] : files())
      if (recipes.at(task).is_own_prompt) own.push_back(task);
    if (own.empty()) return {};
    return {fmt::format(
        "dataset2prompt.json is not found in '{}', its config/ or one level up, or lacks these tasks, "
        "so they are asked with prompts of our own: {}; scores differ from published ones",
        options_.data.string(), fmt::join(own, ", "))};
  }

 private:
  /// The tasks to run and their files.
  std::vector<std::pair<std::string, fs::path>> files() const {
    std::vector<std::pair<std::string, fs::path>> found;
    for (const LongBenchTask& task : longbench_tasks()) {
      if (e_ && !task.in_e) continue;
      if (const auto file = longbench_records(options_, task.name, e_ ? "_e" : ""))
        found.emplace_back(task.name, *file);
    }
    if (found.empty()) {
      throw UsageError(fmt::format("'{}' has none of LongBench's files, as {}; give its folder with --data",
                                   options_.data.string(), e_ ? "hotpotqa_e.jsonl" : "hotpotqa.jsonl"));
    }
    return found;
  }

  Options options_;
  bool e_;
};

BenchmarkInfo info(std::string name, std::string description, std::string data, bool e) {
  BenchmarkInfo result{std::move(name), std::move(description), std::move(data), {}, {}};
  for (const LongBenchTask& task : longbench_tasks())
    if (!e || task.in_e) result.tasks.push_back(task.name);
  result.make = [e](const Options& options) { return std::make_unique<LongBench>(options, e); };
  return result;
}

}  // namespace

BenchmarkInfo longbench_benchmark() {
  return info("longbench", "LongBench's 16 English and code tasks (arXiv 2308.14508)",
              "TASK.jsonl, dataset2prompt.json, dataset2maxlen.json of LongBench", false);
}

BenchmarkInfo longbench_e_benchmark() {
  return info("longbench-e", "LongBench-E: 13 tasks whose records have evenly spread lengths",
              "TASK_e.jsonl, dataset2prompt.json, dataset2maxlen.json of LongBench", true);
}

}  // namespace chunkkv::eval
