#include "report/figures.h"
#include "report/method_spec.h"
#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace chunkkv::report {
namespace {

using Words = std::vector<std::string>;

/// The text as a table's cell can hold it.
std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|') safe += '\\';
    safe += c == '\n' || c == '\r' ? ' ' : c;
  }
  return safe;
}

std::string code(const std::string& text) {
  return fmt::format("`{}`", escaped(text));
}

/// A Markdown table whose first `n_text` columns are text, the others numbers.
std::string table(const Words& head, const std::vector<Words>& rows, std::size_t n_text) {
  const auto line = [](const Words& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += fmt::format(" {} |", cell);
    return text + "\n";
  };
  Words rule;
  for (std::size_t i = 0; i < head.size(); ++i) rule.emplace_back(i < n_text ? "---" : "---:");
  std::string text = line(head) + line(rule);
  for (const Words& row : rows) text += line(row);
  return text + "\n";
}

/// The number with `decimals` decimals; "0.0", never "-0.0".
std::string fixed(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  return text.find_first_of("123456789") == std::string::npos && value < 0 ? text.substr(1) : text;
}

std::string number(double value, Unit unit) {
  switch (unit) {
    case Unit::points:
      return fixed(100 * value, 1);
    case Unit::plain:
      return fixed(value, std::abs(value) < 0.1 ? 4 : 3);
    case Unit::milliseconds:
      return value < 100 ? fixed(value, 1) : grouped(std::llround(value));
    case Unit::bytes:
      return fixed(value / (1 << 20), 1);
    case Unit::rate:
      return fixed(value, 1);
  }
  return "";
}

std::string with_interval(const Estimate& estimate, Unit unit) {
  if (!estimate.interval) return number(estimate.value, unit);
  return fmt::format("{} ({} to {})", number(estimate.value, unit), number(estimate.interval->low, unit),
                     number(estimate.interval->high, unit));
}

std::string percent(const Estimate& share) {
  const auto text = [](double value) { return fmt::format("{:.0f}", 100 * value); };
  if (!share.interval) return text(share.value) + "%";
  return fmt::format("{}% ({} to {})", text(share.value), text(share.interval->low),
                     text(share.interval->high));
}

/// Methods that are only points of ablations: they stand in the ablations' own tables alone.
using Hidden = std::set<std::string>;

/// The first two cells of a row: method and budget.
Words pair_cells(const Pair& pair) {
  return {code(pair.method), pair.keep};
}

/// One cell a column. The last column also has its interval, its share of the full cache's score and its
/// difference from `baseline`.
std::string score_table(const Table& scores, const std::string& baseline, const Hidden& hidden) {
  Words head = {"method", "kept"};
  for (const std::string& column : scores.columns) head.push_back(escaped(column));
  head.emplace_back("share of the full cache's");
  if (!baseline.empty()) head.push_back(fmt::format("difference from {}", code(baseline)));
  std::vector<Words> rows;
  bool any_partial = false;
  for (const Row& row : scores.rows) {
    if (hidden.contains(row.pair.method)) continue;
    Words& cells = rows.emplace_back(pair_cells(row.pair));
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      const auto& cell = row.cells[c];
      if (!cell) {
        cells.emplace_back("–");
        continue;
      }
      any_partial = any_partial || cell->is_partial;
      const bool is_last = c + 1 == row.cells.size();
      cells.push_back(
          (is_last ? with_interval(cell->mean, Unit::points) : number(cell->mean.value, Unit::points)) +
          (cell->is_partial ? "\\*" : ""));
    }
    const auto& last = row.cells.back();
    cells.push_back(last && last->share ? percent(*last->share) : "");
    if (!baseline.empty())
      cells.push_back(last && last->lead ? with_interval(*last->lead, Unit::points) : "");
  }
  return table(head, rows, 2) + (any_partial ? "\\* some samples of the column are missing in this row; "
                                               "shares and differences are of the samples that both have.\n\n"
                                             : "");
}

/// Means only, written by `text` for each column and mean.
std::string plain_table(const Table& values,
                        const std::function<std::string(std::size_t, const Estimate&)>& text,
                        const Hidden& hidden) {
  Words head = {"method", "kept"};
  for (const std::string& column : values.columns) head.push_back(escaped(column));
  std::vector<Words> rows;
  for (const Row& row : values.rows) {
    if (hidden.contains(row.pair.method)) continue;
    Words& cells = rows.emplace_back(pair_cells(row.pair));
    for (std::size_t c = 0; c < row.cells.size(); ++c)
      cells.push_back(row.cells[c] ? text(c, row.cells[c]->mean) : "–");
  }
  return table(head, rows, 2);
}

std::string ablation_table(const Ablation& ablation) {
  Words head = {ablation.parameter_title};
  std::set<double> values;
  for (const auto& line : ablation.lines) {
    head.push_back(line.keep + " kept");
    for (const auto& point : line.points) values.insert(point.value);
  }
  std::vector<Words> rows;
  for (const double value : values) {
    Words& cells = rows.emplace_back(Words{fmt::format("{}", value)});
    if (ablation.default_value == value) cells.back() += " (default)";
    for (const auto& line : ablation.lines) {
      const auto it = std::find_if(line.points.begin(), line.points.end(),
                                   [&](const auto& point) { return point.value == value; });
      cells.push_back(it == line.points.end() ? "–" : with_interval(it->estimate, ablation.measure.unit));
    }
  }
  return fmt::format("{} by {}: {}\n\n", code(ablation.base), ablation.parameter_title,
                     ablation.measure.title) +
         table(head, rows, 1);
}

std::string needle_table(const NeedleGrid& grid, const Hidden& hidden) {
  std::vector<Words> rows;
  Words head = {"method", "kept"};
  for (const double length : grid.lengths) head.push_back(grouped(std::llround(length)));
  for (const auto& map : grid.maps) {
    if (hidden.contains(map.pair.method)) continue;
    Words& cells = rows.emplace_back(pair_cells(map.pair));
    for (std::size_t l = 0; l < grid.lengths.size(); ++l) {
      Tally tally;
      for (const auto& depth : map.scores)
        if (depth[l]) tally.add(*depth[l]);
      cells.push_back(tally.count > 0 ? number(tally.sum / tally.count, Unit::points) : "–");
    }
  }
  return fmt::format("{}: mean over {} depths, by length in tokens\n\n", escaped(grid.variant),
                     grid.depths.size()) +
         table(head, rows, 2);
}

std::string answers_text(const AnswerSection& section, const Hidden& hidden) {
  const auto points = [](std::size_t, const Estimate& mean) { return number(mean.value, Unit::points); };
  std::string text =
      fmt::format("### {}\n\n{}; {} samples, {} prompt tokens on average.\n",
                  benchmark_title(section.setting.benchmark), describe(section.setting),
                  grouped(std::int64_t(section.n_samples)), grouped(std::llround(section.prompt_tokens)));
  if (const std::string note = note_on(section); !note.empty()) text += fmt::format("{}\n", note);
  text += "\n" + score_table(section.groups, section.baseline, hidden);
  for (const auto& [title, values] : {std::pair("By task", &section.tasks),
                                      {"Other scores", &section.metrics},
                                      {"By length", &section.lengths},
                                      {"By question", &section.questions}})
    if (!values
             ->empty())  // closed until a reader opens it; the blank lines let GitHub read the Markdown in it
      text += fmt::format("<details><summary>{}</summary>\n\n{}</details>\n\n", title,
                          plain_table(*values, points, hidden));
  for (const NeedleGrid& grid : section.needles) text += needle_table(grid, hidden);
  for (const Ablation& ablation : section.ablations) text += ablation_table(ablation);
  return text;
}

std::string fidelity_text(const FidelitySection& section, const Hidden& hidden) {
  std::vector<Unit> units;
  for (const Figure& figure : fidelity_figures())
    if (std::find(section.keys.begin(), section.keys.end(), figure.key) != section.keys.end())
      units.push_back(figure.unit);
  const auto figure = [&](std::size_t column, const Estimate& mean) {
    return column == 0 ? with_interval(mean, units[column]) : number(mean.value, units[column]);
  };
  std::string text = fmt::format("### Fidelity to the full cache\n\n{}; {} samples.\n\n",
                                 describe(section.setting), grouped(std::int64_t(section.n_samples)));
  text += plain_table(section.figures, figure, hidden);
  for (const Ablation& ablation : section.ablations) text += ablation_table(ablation);
  return text;
}

std::string speed_text(const SpeedSection& section, const Hidden& hidden) {
  std::vector<const Figure*> figures;
  for (const Figure& figure : speed_figures())
    if (std::any_of(section.rows.begin(), section.rows.end(),
                    [&](const auto& row) { return row.figures.contains(figure.key); }))
      figures.push_back(&figure);
  Words head = {"input + output", "method", "kept"};
  for (const Figure* figure : figures) {
    std::string title = figure->title;
    if (figure->unit == Unit::milliseconds) title += " (ms)";
    if (figure->unit == Unit::bytes) title += " (MiB)";
    head.push_back(title);
  }
  std::vector<Words> rows;
  for (const auto& row : section.rows) {
    if (hidden.contains(row.pair.method)) continue;
    Words& cells = rows.emplace_back(Words{fmt::format("{} + {}", grouped(row.input), grouped(row.output))});
    for (std::string& cell : pair_cells(row.pair)) cells.push_back(std::move(cell));
    for (const Figure* figure : figures) {
      const auto it = row.figures.find(figure->key);
      cells.push_back(it == row.figures.end() ? "–" : number(it->second.median, figure->unit));
    }
  }
  std::string text = fmt::format("### Speed and memory\n\n{}{}Medians over the repetitions.\n\n",
                                 escaped(section.machine), section.machine.empty() ? "" : ". ") +
                     table(head, rows, 3);
  for (const Ablation& ablation : section.ablations) text += ablation_table(ablation);
  return text;
}

}  // namespace

std::string markdown(const Report& report) {
  std::string text =
      "Scores are out of 100. In brackets: 95% intervals by bootstrap, resampled by sample and paired, so "
      "that every method meets the same samples.\n\n";
  for (const ModelReport& model : report.models) {
    Hidden hidden;
    for (const auto& method : model.methods)
      if (method.is_ablation_point) hidden.insert(method.spec);
    text += fmt::format("## {}\n\n", code(model.name));
    for (const AnswerSection& section : model.answers) text += answers_text(section, hidden);
    for (const FidelitySection& section : model.fidelity) text += fidelity_text(section, hidden);
    for (const SpeedSection& section : model.speed) text += speed_text(section, hidden);
  }
  text.pop_back();  // the text ends in one newline, not in two
  return text;
}

}  // namespace chunkkv::report
