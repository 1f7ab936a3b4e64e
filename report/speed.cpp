#include "report/speed.h"

#include "report/figures.h"
#include "report/method_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace chunkkv::report {
namespace {

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .min = values.front(), .max = values.back()};
}

std::vector<Ablation> longest_ablations(const std::vector<SpeedSection::Row>& rows) {
  const auto [input, output] = std::tuple(rows.back().input, rows.back().output);
  std::vector<Ablation> found;
  for (const Figure& figure : speed_figures()) {
    const std::string_view key = figure.key;
    if (key != "total" && key != "compression") continue;
    std::vector<MeasuredRow> measured;
    for (const auto& row : rows) {
      const auto it = row.figures.find(figure.key);
      if (row.input != input || row.output != output || it == row.figures.end()) continue;
      if (row.pair.method == kFull && key == "compression") continue;  // the full cache has none
      measured.push_back({row.pair, {it->second.median, Interval{it->second.min, it->second.max}}});
    }
    const auto title = fmt::format("{}, {} tokens in, {} out", figure.title, grouped(input), grouped(output));
    const auto added = ablations(measured, {title, figure.unit, figure.better});
    found.insert(found.end(), added.begin(), added.end());
  }
  return found;
}

}  // namespace

std::string set_up(const Speed& line) {
  const bool has_both = !line.origin.machine.empty() && !line.settings.empty();
  return line.origin.machine + (has_both ? ", " : "") + line.settings;
}

SpeedSection speed_section(std::span<const Speed* const> lines) {
  using Key = std::tuple<std::int64_t, std::int64_t, Pair>;
  std::map<Key, std::map<std::string, std::vector<double>>> figures;
  std::map<Key, std::size_t> repetitions;
  for (const Speed* line : lines) {
    const Key key(line->input, line->output, line->pair);
    ++repetitions[key];
    for (const auto& [name, value] : line->figures) figures[key][name].push_back(value);
  }

  SpeedSection section{.machine = set_up(*lines.front()), .rows = {}, .ablations = {}};
  for (const auto& [key, count] : repetitions) {
    const auto& [input, output, pair] = key;
    auto& row = section.rows.emplace_back(SpeedSection::Row{input, output, pair, count, {}});
    for (const auto& [name, values] : figures[key]) row.figures.emplace(name, spread(values));
  }
  std::stable_sort(section.rows.begin(), section.rows.end(), [](const auto& a, const auto& b) {
    if (std::tie(a.input, a.output) != std::tie(b.input, b.output))
      return std::tie(a.input, a.output) < std::tie(b.input, b.output);
    return listed_before(a.pair, b.pair);
  });
  section.ablations = longest_ablations(section.rows);
  return section;
}

}  // namespace chunkkv::report
