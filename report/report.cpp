#include "report/report.h"

#include "report/figures.h"
#include "report/method_spec.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace chunkkv::report {
namespace {

/// The lines of one model.
struct Lines {
  std::map<Setting, std::vector<const Answer*>> answers;
  std::map<Setting, std::vector<const Fidelity*>> fidelity;
  std::map<std::string, std::vector<const Speed*>> speed;  // by set-up
  std::set<std::string> methods;
  ModelReport model;  ///< what the lines' origins tell of it
};

/// The lines of each model, in the order of the models' first lines.
class ModelLines {
 public:
  Lines& of(const Origin& origin, const Pair& pair) {
    const auto [it, is_new] = places_.emplace(model_key(origin), lines_.size());
    if (is_new) lines_.emplace_back().model = {.name = origin.model, .hash = origin.model_hash};
    Lines& lines = lines_[it->second];
    lines.methods.insert(pair.method);
    if (!origin.version.empty()) lines.model.versions.insert(origin.version);
    if (!origin.machine.empty()) lines.model.machines.insert(origin.machine);
    if (origin.seed) lines.model.seeds.insert(*origin.seed);
    return lines;
  }
  const std::vector<Lines>& all() const { return lines_; }

 private:
  std::map<std::string, std::size_t> places_;
  std::vector<Lines> lines_;
};

/// True when `unbounded` is the setting `bounded` without bounded prefill. Settings that bounded prefill adds
/// stand at the end of `others`.
bool is_unbounded(const Setting& unbounded, const Setting& bounded) {
  Setting same = unbounded;
  same.cells = bounded.cells;
  same.others = bounded.others;
  return unbounded.cells == 0 && bounded.cells > 0 && same == bounded &&
         bounded.others.starts_with(unbounded.others);
}

/// Adds the full cache's answers to the same setting with bounded prefill, to be compared there: the full
/// cache is never bounded. An unbounded setting that has no other answers is left out.
void share_full_cache(std::map<Setting, std::vector<const Answer*>>& settings) {
  const auto is_full = [](const Answer* answer) { return answer->pair.method == kFull; };
  std::set<Setting> shared;
  for (auto& [bounded, answers] : settings)
    for (const auto& [setting, others] : settings) {
      if (!is_unbounded(setting, bounded)) continue;
      std::copy_if(others.begin(), others.end(), std::back_inserter(answers), is_full);
      if (std::all_of(others.begin(), others.end(), is_full)) shared.insert(setting);
    }
  for (const Setting& setting : shared) settings.erase(setting);
}

std::vector<ModelReport::MethodShown> methods_shown(const std::set<std::string>& methods) {
  std::vector<std::string> sorted(methods.begin(), methods.end());
  std::stable_sort(sorted.begin(), sorted.end(), method_listed_before);
  std::vector<ModelReport::MethodShown> shown;
  for (const std::string& method : sorted) shown.push_back({method, is_ablation_point(method, sorted)});
  return shown;
}

ModelReport model_report(Lines lines, const std::string& baseline) {
  ModelReport model = std::move(lines.model);
  model.methods = methods_shown(lines.methods);
  share_full_cache(lines.answers);
  for (const auto& [setting, answers] : lines.answers)
    if (const AnswerSection section = answer_section(answers, baseline); !section.groups.empty())
      model.answers.push_back(section);
  std::stable_sort(model.answers.begin(), model.answers.end(), [](const auto& a, const auto& b) {
    return benchmark_place(a.setting.benchmark) < benchmark_place(b.setting.benchmark);
  });
  for (const auto& [setting, fidelity] : lines.fidelity)
    model.fidelity.push_back(fidelity_section(fidelity, baseline));
  for (const auto& [set_up, speed] : lines.speed) model.speed.push_back(speed_section(speed));
  return model;
}

/// Models of one name are told apart by their hashes.
void make_names_unique(std::vector<ModelReport>& models) {
  std::map<std::string, int> uses;
  for (const ModelReport& model : models) ++uses[model.name];
  for (ModelReport& model : models)
    if (uses[model.name] > 1 && !model.hash.empty())
      model.name += fmt::format(" ({})", model.hash.substr(0, 8));
}

}  // namespace

Report make_report(const Results& results, const std::string& baseline) {
  if (results.n_lines == 0)
    throw Error("the result files hold no line; run `chunkkv eval` or `chunkkv perf` first");
  ModelLines models;
  for (const Answer& line : results.answers)
    models.of(line.origin, line.pair).answers[line.setting].push_back(&line);
  for (const Fidelity& line : results.fidelity)
    models.of(line.origin, line.pair).fidelity[line.setting].push_back(&line);
  for (const Speed& line : results.speed)
    models.of(line.origin, line.pair).speed[set_up(line)].push_back(&line);

  Report report{
      .files = results.files, .n_lines = results.n_lines, .n_repeated = results.n_repeated, .models = {}};
  for (const Lines& lines : models.all()) report.models.push_back(model_report(lines, baseline));
  make_names_unique(report.models);
  return report;
}

std::string describe(const Setting& setting) {
  std::string text =
      setting.query_aware ? "Question read before compression" : "Question read after compression";
  if (setting.max_length > 0) text += fmt::format(", prompts up to {} tokens", grouped(setting.max_length));
  if (!setting.others.empty()) text += ", " + setting.others;
  if (setting.cells > 0) text += fmt::format(", prefill bounded to {} cells", grouped(setting.cells));
  return text;
}

}  // namespace chunkkv::report
