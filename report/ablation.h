#pragma once

#include "report/bootstrap.h"
#include "report/figures.h"
#include "report/results.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// The estimate of one method and budget in one measure.
struct MeasuredRow {
  Pair pair;
  Estimate estimate;
};

/// What is plotted against the parameter.
struct Measure {
  std::string title;
  Unit unit = Unit::points;
  Better better = Better::higher;
};

/// One measure against one parameter of a method, everything else being equal.
struct Ablation {
  struct Point {
    double value = 0;  ///< of the varied parameter
    Estimate estimate;
  };
  struct Line {
    std::string keep;
    std::vector<Point> points;  ///< at least two, ascending by value
  };

  std::string parameter;
  std::string parameter_title;  ///< for readers: "chunk length (tokens)"
  std::string base;             ///< the spec without the parameter
  Measure measure;
  std::optional<double> default_value;  ///< of the parameter, where that was measured
  std::vector<Line> lines;
  std::optional<double> full;  ///< the measure's value with the full cache
};

/// One ablation for each parameter that papers vary, chunk length and the number of layers that share a
/// choice, and each base spec of which at least two values were measured with the same budget.
std::vector<Ablation> ablations(std::span<const MeasuredRow> rows, const Measure& measure);

/// True when `method` is only a point of an ablation among `methods`: three values or more were measured, and
/// its own is neither the default nor, for `reuse`, the lowest value other than the default. Comparisons of
/// methods are clearer without such points.
bool is_ablation_point(const std::string& method, std::span<const std::string> methods);

}  // namespace chunkkv::report
