#include "report/to_json.h"

#include "web/page.h"

#include "report/figures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string_view>

namespace chunkkv::report {
namespace {

using Json = nlohmann::ordered_json;

/// Rounds to four significant digits: nobody reads more, and the page stays small.
Json rounded(double value) {
  if (value == 0) return 0;
  if (std::abs(value) >= 1000) return std::llround(value);
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

Json rounded(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(rounded(value));
  return list;
}

/// Rounds to two decimals, for values that are shown as colours.
Json coarse(const std::vector<std::vector<double>>& rows) {
  Json list = Json::array();
  for (const auto& row : rows) {
    Json values = Json::array();
    for (const double value : row) values.push_back(std::round(value * 100) / 100);
    list.push_back(std::move(values));
  }
  return list;
}

/// [value] or [value, low, high].
Json to_json(const Estimate& estimate) {
  Json list = Json::array();
  list.push_back(rounded(estimate.value));
  if (estimate.interval) {
    list.push_back(rounded(estimate.interval->low));
    list.push_back(rounded(estimate.interval->high));
  }
  return list;
}

Json to_json(const std::optional<RowEstimate>& cell) {
  if (!cell) return nullptr;
  Json json = {{"mean", to_json(cell->mean)}, {"n", cell->n_samples}};
  if (cell->share) json["share"] = to_json(*cell->share);
  if (cell->lead) json["lead"] = to_json(*cell->lead);
  if (cell->is_partial) json["partial"] = true;
  return json;
}

Json to_json(const Table& table) {
  Json rows = Json::array();
  for (const Row& row : table.rows) {
    Json cells = Json::array();
    for (const auto& cell : row.cells) cells.push_back(to_json(cell));
    rows.push_back({{"method", row.pair.method}, {"keep", row.pair.keep}, {"cells", std::move(cells)}});
  }
  return {{"columns", table.columns}, {"rows", std::move(rows)}};
}

Json to_json(const NeedleGrid& grid) {
  Json maps = Json::array();
  for (const auto& map : grid.maps) {
    Json scores = Json::array();
    for (const auto& depth : map.scores) {
      Json row = Json::array();
      for (const auto& score : depth) row.push_back(score ? rounded(*score) : Json(nullptr));
      scores.push_back(std::move(row));
    }
    maps.push_back({{"method", map.pair.method},
                    {"keep", map.pair.keep},
                    {"mean", rounded(map.mean)},
                    {"scores", std::move(scores)}});
  }
  return {{"variant", grid.variant},
          {"lengths", grid.lengths},
          {"depths", grid.depths},
          {"maps", std::move(maps)}};
}

Json to_json(const Ablation& ablation) {
  Json lines = Json::array();
  for (const auto& line : ablation.lines) {
    Json points = Json::array();
    for (const auto& point : line.points)
      points.push_back({{"value", point.value}, {"mean", to_json(point.estimate)}});
    lines.push_back({{"keep", line.keep}, {"points", std::move(points)}});
  }
  Json json = {{"parameter", ablation.parameter},
               {"parameterTitle", parameter_title(ablation.parameter)},
               {"base", ablation.base},
               {"measure", ablation.measure.title},
               {"unit", unit_name(ablation.measure.unit)},
               {"better", better_name(ablation.measure.better)},
               {"lines", std::move(lines)}};
  if (ablation.default_value) json["default"] = *ablation.default_value;
  if (ablation.full) json["full"] = rounded(*ablation.full);
  return json;
}

Json to_json(const AnswerSection& section);
Json to_json(const FidelitySection::Layers& layers);
Json to_json(const FidelitySection& section);
Json to_json(const SpeedSection::Row& row);
Json to_json(const SpeedSection& section);
Json to_json(const ModelReport::MethodShown& method);
Json to_json(const ModelReport& model);

template <class Item>
Json list(const std::vector<Item>& items) {
  Json json = Json::array();
  for (const Item& item : items) json.push_back(to_json(item));
  return json;
}

Json to_json(const AnswerSection& section) {
  return {{"benchmark", section.setting.benchmark},
          {"title", benchmark_title(section.setting.benchmark)},
          {"note", note_on(section)},
          {"setting", describe(section.setting)},
          {"samples", section.n_samples},
          {"promptTokens", rounded(section.prompt_tokens)},
          {"baseline", section.baseline},
          {"scoreTitle", score_title(section.setting.benchmark, section.is_judged)},
          {"groups", to_json(section.groups)},
          {"groupTasks", section.group_tasks},
          {"tasks", to_json(section.tasks)},
          {"metrics", to_json(section.metrics)},
          {"lengths", to_json(section.lengths)},
          {"questions", to_json(section.questions)},
          {"needles", list(section.needles)},
          {"ablations", list(section.ablations)}};
}

Json to_json(const FidelitySection::Layers& layers) {
  return {{"method", layers.pair.method},
          {"keep", layers.pair.keep},
          {"kvL1", rounded(layers.kv_l1)},
          {"attentionCosine", rounded(layers.attention_cosine)},
          {"similarity", coarse(layers.similarity)}};
}

Json to_json(const Figure& figure) {
  return {{"key", figure.key},
          {"title", figure.title},
          {"unit", unit_name(figure.unit)},
          {"better", better_name(figure.better)}};
}

Json to_json(const FidelitySection& section) {
  return {{"setting", describe(section.setting)},
          {"samples", section.n_samples},
          {"keys", section.keys},
          {"figures", to_json(section.figures)},
          {"layers", list(section.layers)},
          {"ablations", list(section.ablations)}};
}

Json to_json(const SpeedSection::Row& row) {
  Json figures = Json::object();
  for (const auto& [key, spread] : row.figures)
    figures[key] = {rounded(spread.median), rounded(spread.min), rounded(spread.max)};
  return {{"input", row.input},    {"output", row.output},   {"method", row.pair.method},
          {"keep", row.pair.keep}, {"n", row.n_repetitions}, {"figures", std::move(figures)}};
}

Json to_json(const SpeedSection& section) {
  return {{"machine", section.machine}, {"rows", list(section.rows)}, {"ablations", list(section.ablations)}};
}

Json to_json(const ModelReport::MethodShown& method) {
  return {{"spec", method.spec}, {"isAblationPoint", method.is_ablation_point}};
}

Json to_json(const ModelReport& model) {
  return {{"name", model.name},
          {"hash", model.hash},
          {"versions", model.versions},
          {"machines", model.machines},
          {"seeds", model.seeds},
          {"methods", list(model.methods)},
          {"answers", list(model.answers)},
          {"fidelity", list(model.fidelity)},
          {"speed", list(model.speed)}};
}

Json figures_json(std::span<const Figure> figures) {
  Json json = Json::array();
  for (const Figure& figure : figures) json.push_back(to_json(figure));
  return json;
}

}  // namespace

std::string page_data(const Report& report) {
  const Json json = {{"files", report.files},
                     {"lines", report.n_lines},
                     {"repeated", report.n_repeated},
                     {"fidelityFigures", figures_json(fidelity_figures())},
                     {"speedFigures", figures_json(speed_figures())},
                     {"models", list(report.models)}};
  return web::script_safe(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace chunkkv::report
