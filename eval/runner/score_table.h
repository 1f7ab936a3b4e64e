#pragma once

#include <chunkkv/session.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Mean scores by task, method and budget.
class ScoreTable {
 public:
  void add(const std::string& task, const Plan& pair, double score);
  bool empty() const { return tasks_.empty(); }
  /// One row a task and method, one column a budget; scores from 0 to 100. With several tasks their mean
  /// follows, for the methods and budgets that have all of them.
  std::string text() const;

 private:
  struct Mean {
    double sum = 0;
    std::size_t n = 0;
  };
  using Row = std::map<std::string, Mean>;  ///< by budget

  std::vector<std::string> tasks_, methods_, budgets_;       ///< in the order of their first score
  std::map<std::string, std::map<std::string, Row>> means_;  ///< by task and method
};

}  // namespace chunkkv::eval
