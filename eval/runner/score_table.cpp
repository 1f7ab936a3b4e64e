#include "runner/score_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

using Cells = std::vector<std::string>;

void remember(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

/// Lines of cells: task and method as wide as their longest name, the number of answers, and a column a
/// budget.
std::string lines_of(const std::vector<Cells>& rows) {
  std::size_t task_width = 0, method_width = 0;
  for (const Cells& cells : rows) {
    task_width = std::max(task_width, cells[0].size() + 2);
    method_width = std::max(method_width, cells[1].size() + 2);
  }
  std::string text;
  for (const Cells& cells : rows) {
    text += fmt::format("{:<{}}{:<{}}{:>6}", cells[0], task_width, cells[1], method_width, cells[2]);
    for (std::size_t i = 3; i < cells.size(); ++i) text += fmt::format("{:>8}", cells[i]);
    text += "\n";
  }
  return text;
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

std::string ScoreTable::text() const {
  std::vector<Cells> rows = {{"task", "method", "n"}};
  rows.front().insert(rows.front().end(), budgets_.begin(), budgets_.end());
  const auto add_row = [&](const std::string& task, const std::string& method, std::string n,
                           const Row& means) {
    Cells& cells = rows.emplace_back(Cells{task, method, std::move(n)});
    for (const std::string& budget : budgets_) {
      const auto found = means.find(budget);
      cells.push_back(found == means.end()
                          ? "-"
                          : fmt::format("{:.1f}", 100 * found->second.sum / double(found->second.n)));
    }
  };
  for (const std::string& task : tasks_) {
    for (const std::string& method : methods_) {
      const auto found = means_.at(task).find(method);
      if (found == means_.at(task).end()) continue;
      std::size_t fewest = SIZE_MAX, most = 0;
      for (const auto& [budget, mean] : found->second) {
        fewest = std::min(fewest, mean.n);
        most = std::max(most, mean.n);
      }
      add_row(task, method, fewest == most ? std::to_string(most) : fmt::format("{}-{}", fewest, most),
              found->second);
    }
  }
  if (tasks_.size() > 1)
    for (const std::string& method : methods_)
      add_row("mean", method, std::to_string(tasks_.size()), mean_over_tasks(method));
  std::string text = tasks_.empty() ? "" : lines_of(rows);
  if (n_undecided_ > 0)
    text += fmt::format("undecided: {}, on which the judge gave no clear verdict; they count in no mean\n",
                        n_undecided_);
  return text;
}

/// The mean over the tasks, all of equal weight, for each budget that has all of them.
ScoreTable::Row ScoreTable::mean_over_tasks(const std::string& method) const {
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
  return averages;
}

}  // namespace chunkkv::eval
