#pragma once

#include "report/bootstrap.h"
#include "report/results.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// One value of one sample in one row.
struct Observation {
  Pair pair;
  std::string task;
  std::string sample;  ///< values of equal task and sample are resampled together
  double value = 0;
};

/// A column is the mean of its tasks' means.
struct Column {
  std::string name;
  std::vector<std::string> tasks;
};

struct Row {
  Pair pair;
  std::vector<std::optional<RowEstimate>> cells;  ///< one a column
};

/// Rows are methods with their budgets, in the order of listed_before().
struct Table {
  std::vector<std::string> columns;
  std::vector<Row> rows;

  bool empty() const { return rows.empty(); }
};

/// Estimates every row in every column. Shares are of the full cache's mean (method "full"), leads are over
/// the method `baseline` with the same budget. Tasks that no observation names are left out of their columns,
/// and columns without tasks out of the table.
Table tabulate(std::span<const Observation> observations, std::vector<Column> columns,
               const std::string& baseline);

}  // namespace chunkkv::report
