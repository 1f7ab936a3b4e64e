#include "report/answers.h"

#include "report/figures.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <set>

namespace chunkkv::report {
namespace {

/// Separates a head and a task's name where a table needs the same task under several heads.
constexpr char kPartSeparator = '\x1f';

/// Task types, each with its tasks.
using Groups = std::vector<std::pair<std::string, std::set<std::string>>>;

/// LongBench's task types first, in its own order, then others in the order of the lines.
Groups groups_of(std::span<const Answer* const> answers) {
  Groups groups = {{"single-document QA", {}}, {"multi-document QA", {}}, {"summarisation", {}},
                   {"few-shot", {}},           {"synthetic", {}},         {"code", {}}};
  for (const Answer* answer : answers) {
    const auto it = std::find_if(groups.begin(), groups.end(),
                                 [&](const auto& group) { return group.first == answer->sample.group; });
    if (it == groups.end()) {
      groups.push_back({answer->sample.group, {answer->sample.task}});
    } else {
      it->second.insert(answer->sample.task);
    }
  }
  std::erase_if(groups, [](const auto& group) { return group.second.empty(); });
  return groups;
}

std::set<std::string> all_tasks(const Groups& groups) {
  std::set<std::string> tasks;
  for (const auto& [name, own] : groups) tasks.insert(own.begin(), own.end());
  return tasks;
}

Observation observation(const Answer& answer, double value) {
  return {answer.pair, answer.sample.task, answer.sample.record(), value};
}

std::vector<Observation> scores(std::span<const Answer* const> answers) {
  std::vector<Observation> scores;
  for (const Answer* answer : answers) scores.push_back(observation(*answer, answer->score));
  return scores;
}

/// One column a task type, and the average over all tasks last.
std::vector<Column> group_columns(const Groups& groups, const std::string& score) {
  const std::set<std::string> tasks = all_tasks(groups);
  std::vector<Column> columns;
  if (groups.size() > 1)
    for (const auto& [name, own] : groups) columns.push_back({name, {own.begin(), own.end()}});
  columns.push_back({tasks.size() > 1 ? fmt::format("{}, average of {} tasks", score, tasks.size()) : score,
                     {tasks.begin(), tasks.end()}});
  return columns;
}

/// One column a task; none where these would repeat the columns of `group_columns`.
std::vector<Column> task_columns(const Groups& groups) {
  std::vector<Column> columns;
  const std::set<std::string> tasks = all_tasks(groups);
  if (tasks.size() == 1 || tasks.size() == groups.size()) return columns;
  for (const auto& [name, own] : groups)
    for (const std::string& task : own) columns.push_back({task, {task}});
  return columns;
}

/// A table of values that answers have under several heads, each averaged over the tasks.
class HeadedTable {
 public:
  void add(const Answer& answer, const std::string& head, double value) {
    Observation added = observation(answer, value);
    added.task = head + kPartSeparator + added.task;
    tasks_[head].insert(added.task);
    observations_.push_back(std::move(added));
  }

  /// One column a head, in the order of `heads`; heads without values are left out.
  Table table(const std::vector<std::string>& heads, const std::string& baseline) const {
    std::vector<Column> columns;
    for (const std::string& head : heads)
      if (const auto it = tasks_.find(head); it != tasks_.end())
        columns.push_back({head, {it->second.begin(), it->second.end()}});
    return tabulate(observations_, std::move(columns), baseline);
  }

 private:
  std::vector<Observation> observations_;
  std::map<std::string, std::set<std::string>> tasks_;
};

Table metrics_table(std::span<const Answer* const> answers, const std::string& baseline) {
  HeadedTable table;
  std::set<std::string> names;
  for (const Answer* answer : answers)
    for (const auto& [name, value] : answer->metrics) {
      names.insert(name);
      table.add(*answer, name, value);
    }
  return table.table({names.begin(), names.end()}, baseline);
}

/// LongBench-E's buckets, by the record's own length in words.
Table lengths_table(std::span<const Answer* const> answers, const std::string& baseline) {
  static const std::vector<std::string> buckets = {"below 4,000 words", "4,000 to 8,000 words",
                                                   "8,000 words and more"};
  HeadedTable table;
  for (const Answer* answer : answers) {
    if (answer->setting.benchmark != "longbench-e" || !answer->length) continue;
    table.add(*answer, buckets[*answer->length < 4000 ? 0 : *answer->length < 8000 ? 1 : 2], answer->score);
  }
  return table.table(buckets, baseline);
}

Table questions_table(std::span<const Answer* const> answers, const std::string& baseline) {
  const auto name = [](std::int64_t question) { return fmt::format("question {}", question + 1); };
  HeadedTable table;
  std::set<std::int64_t> places;
  for (const Answer* answer : answers) {
    places.insert(answer->sample.question);
    table.add(*answer, name(answer->sample.question), answer->score);
  }
  if (places.size() < 2) return {};
  std::vector<std::string> heads;
  for (const std::int64_t place : places) heads.push_back(name(place));
  return table.table(heads, baseline);
}

std::vector<std::string> tasks_by_column(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back(fmt::format("{}", fmt::join(column.tasks, ", ")));
  return names;
}

std::vector<Ablation> average_ablations(const Table& groups) {
  std::vector<MeasuredRow> averages;
  for (const Row& row : groups.rows)
    if (row.cells.back()) averages.push_back({row.pair, row.cells.back()->mean});
  return ablations(averages, {.title = groups.columns.back()});
}

}  // namespace

std::string note_on(const AnswerSection& section) {
  std::string note(benchmark_note(section.setting.benchmark, section.is_judged));
  if (section.n_undecided > 0)
    note += fmt::format("{}Undecided by the judge: {}; they count nowhere.", note.empty() ? "" : " ",
                        grouped(std::int64_t(section.n_undecided)));
  return note;
}

AnswerSection answer_section(std::span<const Answer* const> all, const std::string& baseline) {
  AnswerSection section;
  section.setting = all.front()->setting;
  std::vector<const Answer*> answers;
  std::copy_if(all.begin(), all.end(), std::back_inserter(answers),
               [](const Answer* a) { return !a->undecided; });
  section.n_undecided = all.size() - answers.size();
  if (answers.empty()) return section;
  std::set<std::tuple<std::string, std::string, std::int64_t>> samples;
  for (const Answer* answer : answers) {
    samples.insert({answer->sample.task, answer->sample.record(), answer->sample.question});
    section.prompt_tokens += double(answer->prompt_tokens) / double(answers.size());
    if (answer->pair.method == baseline) section.baseline = baseline;
    section.is_judged = section.is_judged || answer->metrics.contains("judge");
  }
  section.n_samples = samples.size();

  const Groups groups = groups_of(answers);
  const std::vector<Observation> observations = scores(answers);
  const auto columns =
      group_columns(groups, std::string(score_title(section.setting.benchmark, section.is_judged)));
  section.group_tasks = tasks_by_column(columns);
  section.groups = tabulate(observations, columns, baseline);
  section.tasks = tabulate(observations, task_columns(groups), baseline);
  section.metrics = metrics_table(answers, baseline);
  section.lengths = lengths_table(answers, baseline);
  section.questions = questions_table(answers, baseline);
  section.needles = needle_grids(answers);
  section.ablations = average_ablations(section.groups);
  return section;
}

}  // namespace chunkkv::report
