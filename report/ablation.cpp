#include "report/ablation.h"

#include "report/method_spec.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace chunkkv::report {
namespace {

constexpr std::string_view kReuse = "reuse";

/// The parameters that papers vary, and what readers call them.
constexpr std::array<std::pair<std::string_view, const char*>, 2> kParameters = {
    {{"chunk", "chunk length (tokens)"}, {kReuse, "layers that share one choice"}}};

/// Lines under construction: keep -> value -> estimate.
using PointsByKeep = std::map<std::string, std::map<double, Estimate>>;

struct Series {
  PointsByKeep lines;
  std::optional<double> default_value;
};

std::map<std::string, Series> series_of(std::span<const MeasuredRow> rows, std::string_view parameter) {
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

std::vector<Ablation> ablations(std::span<const MeasuredRow> rows, const Measure& measure) {
  std::optional<double> full;
  for (const MeasuredRow& row : rows)
    if (row.pair.method == kFull) full = row.estimate.value;
  std::vector<Ablation> found;
  for (const auto& [parameter, title] : kParameters)
    for (const auto& [base, series] : series_of(rows, parameter)) {
      auto lines = finished_lines(series.lines);
      if (lines.empty()) continue;
      found.push_back({.parameter = std::string(parameter),
                       .parameter_title = title,
                       .base = base,
                       .measure = measure,
                       .default_value = series.default_value,
                       .lines = std::move(lines),
                       .full = full});
    }
  return found;
}

bool is_ablation_point(const std::string& method, std::span<const std::string> methods) {
  for (const auto& [parameter, title] : kParameters) {
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
