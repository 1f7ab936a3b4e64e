#include "runner/score_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

constexpr std::string_view kNone = "-";

void remember(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::size_t width(const std::vector<std::string>& names, std::string_view heading) {
  std::size_t most = heading.size();
  for (const std::string& name : names) most = std::max(most, name.size());
  return most + 2;
}

}  // namespace

void ScoreTable::add(const std::string& task, const Plan& pair, std::optional<double> score) {
  if (!score) {
    ++n_undecided_;
    return;
  }
  const std::string method = pair.method->spec(), budget = pair.budget.to_string();
  remember(tasks_, task);
  remember(methods_, method);
  remember(budgets_, budget);
  Mean& mean = means_[task][method][budget];
  mean.sum += *score;
  ++mean.n;
}

std::string ScoreTable::cell_text(const Row& row, const std::string& budget) {
  const auto found = row.find(budget);
  return found == row.end() ? std::string(kNone)
                            : fmt::format("{:.1f}", 100 * found->second.sum / double(found->second.n));
}

std::string ScoreTable::text() const {
  const std::size_t task_width = width(tasks_, "task"), method_width = width(methods_, "method");
  std::string text = tasks_.empty() ? "" : score_rows(task_width, method_width);
  if (tasks_.size() > 1) text += mean_rows(task_width, method_width);
  if (n_undecided_ > 0)
    text += fmt::format("undecided: {}, on which the judge gave no clear verdict; they count in no mean\n",
                        n_undecided_);
  return text;
}

std::string ScoreTable::score_rows(std::size_t task_width, std::size_t method_width) const {
  std::string text = fmt::format("{:<{}}{:<{}}{:>6}", "task", task_width, "method", method_width, "n");
  for (const std::string& budget : budgets_) text += fmt::format("{:>8}", budget);
  text += "\n";

  for (const std::string& task : tasks_) {
    for (const std::string& method : methods_) {
      const auto found = means_.at(task).find(method);
      if (found == means_.at(task).end()) continue;
      std::size_t fewest = SIZE_MAX, most = 0;
      for (const auto& [budget, mean] : found->second) {
        fewest = std::min(fewest, mean.n);
        most = std::max(most, mean.n);
      }
      const std::string n = fewest == most ? std::to_string(most) : fmt::format("{}-{}", fewest, most);
      text += fmt::format("{:<{}}{:<{}}{:>6}", task, task_width, method, method_width, n);
      for (const std::string& budget : budgets_)
        text += fmt::format("{:>8}", cell_text(found->second, budget));
      text += "\n";
    }
  }
  return text;
}

/// Rows with the mean over the tasks, all of equal weight.
std::string ScoreTable::mean_rows(std::size_t task_width, std::size_t method_width) const {
  std::string text;
  for (const std::string& method : methods_) {
    Row averages;
    for (const std::string& budget : budgets_) {
      Mean over_tasks;
      for (const auto& [task, rows] : means_) {
        const auto row = rows.find(method);
        if (row == rows.end() || !row->second.contains(budget)) continue;
        const Mean& mean = row->second.at(budget);
        over_tasks.sum += mean.sum / double(mean.n);
        ++over_tasks.n;
      }
      if (over_tasks.n == tasks_.size()) averages[budget] = over_tasks;
    }
    text += fmt::format("{:<{}}{:<{}}{:>6}", "mean", task_width, method, method_width, tasks_.size());
    for (const std::string& budget : budgets_) text += fmt::format("{:>8}", cell_text(averages, budget));
    text += "\n";
  }
  return text;
}

}  // namespace chunkkv::eval
