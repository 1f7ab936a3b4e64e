#pragma once

#include "report/bootstrap.h"
#include "report/figures.h"
#include "report/results.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace chunkkv::report {

/// What a row gave in one measure.
struct Measured {
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
    double value = 0;  ///< of the parameter
    Estimate estimate;
  };
  struct Line {
    std::string keep;
    std::vector<Point> points;  ///< by value, at least two
  };

  std::string parameter;
  std::string base;  ///< the spec without the parameter
  Measure measure;
  std::optional<double> default_value;  ///< where it was measured
  std::vector<Line> lines;
  std::optional<double> full;  ///< what the full cache gave
};

/// The parameters that papers vary: chunk length, and the number of layers that share a choice.
std::span<const std::string> ablated_parameters();

/// One ablation for each of those parameters and each base of which at least two values were measured with
/// the same budget.
std::vector<Ablation> ablations(std::span<const Measured> rows, const Measure& measure);

/// Whether `method` is only a point of an ablation of `methods`: three values or more were measured, and
/// its own is neither the default nor, for layers that share, the lowest above it. Comparisons of methods are
/// clearer without these.
bool is_ablation_point(const std::string& method, std::span<const std::string> methods);

}  // namespace chunkkv::report
