#pragma once

#include <chunkkv/session.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Mean scores by task, method and budget.
class ScoreTable {
 public:
  /// Without a score, which the judge could not decide on, an answer is only counted: no mean includes it.
  void add(const std::string& task, const Plan& pair, std::optional<double> score);
  bool empty() const { return tasks_.empty() && n_undecided_ == 0; }
  /// The table: a row per task and method, a column per budget, scores from 0 to 100. With several tasks
  /// their mean follows, for methods and budgets that have all tasks; then the number of undecided answers.
  std::string text() const;

 private:
  struct Mean {
    double sum = 0;
    std::size_t n = 0;
  };
  using Row = std::map<std::string, Mean>;  ///< by budget

  Row mean_over_tasks(const std::string& method) const;

  std::vector<std::string> tasks_, methods_, budgets_;       ///< in the order of their first score
  std::map<std::string, std::map<std::string, Row>> means_;  ///< by task and method
  std::size_t n_undecided_ = 0;
};

}  // namespace chunkkv::eval
