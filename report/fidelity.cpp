#include "report/fidelity.h"

#include "report/figures.h"
#include "report/method_spec.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace chunkkv::report {
namespace {

/// The mean of several lists, value by value; empty lists do not count.
class MeanList {
 public:
  void add(const std::vector<double>& list) {
    if (list.empty()) return;
    if (sums_.empty()) sums_.resize(list.size());
    if (sums_.size() != list.size())
      throw Error(
          fmt::format("fidelity lines of one model have {} and {} values a layer list; report the files "
                      "of different models separately, or give every line its model_hash",
                      sums_.size(), list.size()));
    for (std::size_t i = 0; i < list.size(); ++i) sums_[i] += list[i];
    ++count_;
  }

  std::vector<double> mean() const {
    std::vector<double> mean = sums_;
    for (double& value : mean) value /= count_;
    return mean;
  }

 private:
  std::vector<double> sums_;
  double count_ = 0;
};

struct LayerMeans {
  MeanList kv_l1, attention_cosine, similarity;
};

std::vector<double> flat(const std::vector<std::vector<double>>& matrix) {
  std::vector<double> values;
  for (const auto& row : matrix) values.insert(values.end(), row.begin(), row.end());
  return values;
}

std::vector<std::vector<double>> square(const std::vector<double>& values) {
  std::size_t size = 0;
  while (size * size < values.size()) ++size;
  std::vector<std::vector<double>> rows;
  for (std::size_t row = 0; row < size; ++row)
    rows.emplace_back(values.begin() + std::ptrdiff_t(row * size),
                      values.begin() + std::ptrdiff_t((row + 1) * size));
  return rows;
}

std::vector<FidelitySection::Layers> layers_of(std::span<const Fidelity* const> lines) {
  std::map<Pair, LayerMeans> means;
  for (const Fidelity* line : lines) {
    LayerMeans& own = means[line->pair];
    own.kv_l1.add(line->kv_l1_layers);
    own.attention_cosine.add(line->attention_cosine_layers);
    own.similarity.add(flat(line->similarity));
  }
  std::vector<FidelitySection::Layers> layers;
  for (const auto& [pair, mean] : means)
    layers.push_back({.pair = pair,
                      .kv_l1 = mean.kv_l1.mean(),
                      .attention_cosine = mean.attention_cosine.mean(),
                      .similarity = square(mean.similarity.mean())});
  std::stable_sort(layers.begin(), layers.end(),
                   [](const auto& a, const auto& b) { return listed_before(a.pair, b.pair); });
  return layers;
}

std::vector<Ablation> figure_ablations(const FidelitySection& section) {
  std::vector<Ablation> found;
  for (std::size_t column = 0; column < section.keys.size(); ++column) {
    if (section.keys[column] != "kl" && section.keys[column] != "top1") continue;
    const auto figures = fidelity_figures();
    const auto figure = std::find_if(figures.begin(), figures.end(),
                                     [&](const Figure& each) { return section.keys[column] == each.key; });
    std::vector<MeasuredRow> rows;
    for (const Row& row : section.figures.rows)
      if (row.cells[column]) rows.push_back({row.pair, row.cells[column]->mean});
    const auto added = ablations(rows, {figure->title, figure->unit, figure->better});
    found.insert(found.end(), added.begin(), added.end());
  }
  return found;
}

}  // namespace

FidelitySection fidelity_section(std::span<const Fidelity* const> lines, const std::string& baseline) {
  FidelitySection section;
  section.setting = lines.front()->setting;
  std::vector<Observation> observations;  // each figure is a task of its own
  std::set<std::pair<std::string, std::string>> samples;
  for (const Fidelity* line : lines) {
    samples.insert({line->sample.task, line->sample.record()});
    for (const auto& [key, value] : line->figures)
      observations.push_back({line->pair, key, line->sample.task + '\x1f' + line->sample.record(), value});
  }
  section.n_samples = samples.size();

  std::vector<Column> columns;
  for (const Figure& figure : fidelity_figures()) {
    const bool is_there = std::any_of(observations.begin(), observations.end(),
                                      [&](const Observation& value) { return value.task == figure.key; });
    if (!is_there) continue;
    section.keys.emplace_back(figure.key);
    columns.push_back({figure.title, {figure.key}});
  }
  section.figures = tabulate(observations, std::move(columns), baseline);
  section.layers = layers_of(lines);
  section.ablations = figure_ablations(section);
  return section;
}

}  // namespace chunkkv::report
