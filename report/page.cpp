#include "report/figures.h"
#include "report/report.h"
#include "web/assets.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace chunkkv::report {

using Json = nlohmann::ordered_json;

namespace {

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

}  // namespace

// nlohmann/json finds these functions by their arguments, where lists and maps hold such values too. Each is
// declared before those that need it.

/// [value] or [value, low, high].
static void to_json(Json& json, const Estimate& estimate) {
  json = Json::array({rounded(estimate.value)});
  if (!estimate.interval) return;
  json.push_back(rounded(estimate.interval->low));
  json.push_back(rounded(estimate.interval->high));
}

static void to_json(Json& json, const std::optional<RowEstimate>& cell) {
  if (!cell) return;
  json = {{"mean", cell->mean}, {"n", cell->n_samples}};
  if (cell->share) json["share"] = *cell->share;
  if (cell->lead) json["lead"] = *cell->lead;
  if (cell->is_partial) json["partial"] = true;
}

static void to_json(Json& json, const Row& row) {
  json = {{"method", row.pair.method}, {"keep", row.pair.keep}, {"cells", row.cells}};
}

static void to_json(Json& json, const Table& table) {
  json = {{"columns", table.columns}, {"rows", table.rows}};
}

static void to_json(Json& json, const NeedleGrid::Map& map) {
  Json scores = Json::array();
  for (const auto& depth : map.scores) {
    Json& row = scores.emplace_back(Json::array());
    for (const auto& score : depth) row.push_back(score ? rounded(*score) : Json());
  }
  json = {{"method", map.pair.method},
          {"keep", map.pair.keep},
          {"mean", rounded(map.mean)},
          {"scores", std::move(scores)}};
}

static void to_json(Json& json, const NeedleGrid& grid) {
  json = {{"variant", grid.variant}, {"lengths", grid.lengths}, {"depths", grid.depths}, {"maps", grid.maps}};
}

static void to_json(Json& json, const Ablation::Point& point) {
  json = {{"value", point.value}, {"mean", point.estimate}};
}

static void to_json(Json& json, const Ablation::Line& line) {
  json = {{"keep", line.keep}, {"points", line.points}};
}

static void to_json(Json& json, const Ablation& ablation) {
  json = {{"parameter", ablation.parameter},
          {"parameterTitle", ablation.parameter_title},
          {"base", ablation.base},
          {"measure", ablation.measure.title},
          {"unit", unit_name(ablation.measure.unit)},
          {"better", better_name(ablation.measure.better)},
          {"lines", ablation.lines}};
  if (ablation.default_value) json["default"] = *ablation.default_value;
  if (ablation.full) json["full"] = rounded(*ablation.full);
}

static void to_json(Json& json, const AnswerSection& section) {
  json = {{"benchmark", section.setting.benchmark},
          {"title", benchmark_title(section.setting.benchmark)},
          {"note", note_on(section)},
          {"setting", describe(section.setting)},
          {"samples", section.n_samples},
          {"promptTokens", rounded(section.prompt_tokens)},
          {"baseline", section.baseline},
          {"scoreTitle", score_title(section.setting.benchmark, section.is_judged)},
          {"groups", section.groups},
          {"groupTasks", section.group_tasks},
          {"tasks", section.tasks},
          {"metrics", section.metrics},
          {"lengths", section.lengths},
          {"questions", section.questions},
          {"needles", section.needles},
          {"ablations", section.ablations}};
}

static void to_json(Json& json, const FidelitySection::Layers& layers) {
  json = {{"method", layers.pair.method},
          {"keep", layers.pair.keep},
          {"kvL1", rounded(layers.kv_l1)},
          {"attentionCosine", rounded(layers.attention_cosine)},
          {"similarity", coarse(layers.similarity)}};
}

static void to_json(Json& json, const FidelitySection& section) {
  json = {{"setting", describe(section.setting)},
          {"samples", section.n_samples},
          {"keys", section.keys},
          {"figures", section.figures},
          {"layers", section.layers},
          {"ablations", section.ablations}};
}

static void to_json(Json& json, const Spread& spread) {
  json = {rounded(spread.median), rounded(spread.min), rounded(spread.max)};
}

static void to_json(Json& json, const SpeedSection::Row& row) {
  json = {{"input", row.input},    {"output", row.output},   {"method", row.pair.method},
          {"keep", row.pair.keep}, {"n", row.n_repetitions}, {"figures", row.figures}};
}

static void to_json(Json& json, const SpeedSection& section) {
  json = {{"machine", section.machine}, {"rows", section.rows}, {"ablations", section.ablations}};
}

static void to_json(Json& json, const ModelReport::MethodShown& method) {
  json = {{"spec", method.spec}, {"isAblationPoint", method.is_ablation_point}};
}

static void to_json(Json& json, const ModelReport& model) {
  json = {{"name", model.name},         {"hash", model.hash},         {"versions", model.versions},
          {"machines", model.machines}, {"seeds", model.seeds},       {"methods", model.methods},
          {"answers", model.answers},   {"fidelity", model.fidelity}, {"speed", model.speed}};
}

static void to_json(Json& json, const Figure& figure) {
  json = {{"key", figure.key},
          {"title", figure.title},
          {"unit", unit_name(figure.unit)},
          {"better", better_name(figure.better)}};
}

std::string report_page(const Report& report) {
  const Json json = {{"files", report.files},           {"lines", report.n_lines},
                     {"repeated", report.n_repeated},   {"fidelityFigures", fidelity_figures()},
                     {"speedFigures", speed_figures()}, {"models", report.models}};
  return web::with_data(web::assets::report_page, json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace chunkkv::report
