#include "report/ablation.h"

#include "report/method_spec.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace chunkkv::report {
namespace {

const std::string kReuse = "reuse";

/// Lines under construction: keep -> value -> estimate.
using PointsByKeep = std::map<std::string, std::map<double, Estimate>>;

struct Series {
  PointsByKeep lines;
  std::optional<double> default_value;
};

std::map<std::string, Series> series_of(std::span<const MeasuredRow> rows, const std::string& parameter) {
  std::map<std::string, Series> bases;
  for (const MeasuredRow& row : rows) {
    const auto variant = variant_of(row.pair.method, parameter);
    if (!variant) continue;
    Series& series = bases[variant->base];
    series.lines[row.pair.keep].emplace(variant->value, row.estimate);
    if (variant->is_default) series.default_value = variant->value;
  }
  return bases;
}

std::vector<Ablation::Line> finished_lines(const PointsByKeep& lines) {
  std::vector<Ablation::Line> finished;
  for (const auto& [keep, points] : lines) {
    if (points.size() < 2) continue;
    Ablation::Line& line = finished.emplace_back(Ablation::Line{keep, {}});
    for (const auto& [value, estimate] : points) line.points.push_back({value, estimate});
  }
  std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) {
    return listed_before({std::string(), a.keep}, {std::string(), b.keep});
  });
  return finished;
}

}  // namespace

std::span<const std::string> ablated_parameters() {
  static const std::array<std::string, 2> parameters = {"chunk", kReuse};
  return parameters;
}

std::vector<Ablation> ablations(std::span<const MeasuredRow> rows, const Measure& measure) {
  std::optional<double> full;
  for (const MeasuredRow& row : rows)
    if (row.pair.method == kFull) full = row.estimate.value;
  std::vector<Ablation> found;
  for (const std::string& parameter : ablated_parameters())
    for (const auto& [base, series] : series_of(rows, parameter)) {
      auto lines = finished_lines(series.lines);
      if (lines.empty()) continue;
      found.push_back({.parameter = parameter,
                       .base = base,
                       .measure = measure,
                       .default_value = series.default_value,
                       .lines = std::move(lines),
                       .full = full});
    }
  return found;
}

bool is_ablation_point(const std::string& method, std::span<const std::string> methods) {
  for (const std::string& parameter : ablated_parameters()) {
    const auto own = variant_of(method, parameter);
    if (!own || own->is_default) continue;
    std::set<double> values;
    std::optional<double> lowest;  // of the variants that are not the default
    for (const std::string& other : methods) {
      const auto variant = variant_of(other, parameter);
      if (!variant || variant->base != own->base) continue;
      values.insert(variant->value);
      if (!variant->is_default) lowest = std::min(lowest.value_or(variant->value), variant->value);
    }
    if (values.size() >= 3 && !(parameter == kReuse && own->value == lowest)) return true;
  }
  return false;
}

}  // namespace chunkkv::report
