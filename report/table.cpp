#include "report/table.h"

#include "report/method_spec.h"

#include <algorithm>
#include <map>
#include <utility>

namespace chunkkv::report {
namespace {

/// Numbers names from 0, in the order of their first use.
class Numbering {
 public:
  std::size_t number(const std::string& name) {
    return numbers_.emplace(name, numbers_.size()).first->second;
  }
  std::optional<std::size_t> find(const std::string& name) const {
    const auto it = numbers_.find(name);
    return it == numbers_.end() ? std::nullopt : std::optional(it->second);
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  std::map<std::string, std::size_t> numbers_;
};

std::vector<Pair> sorted_pairs(std::span<const Observation> observations) {
  std::vector<Pair> pairs;
  for (const Observation& observation : observations) pairs.push_back(observation.pair);
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  std::stable_sort(pairs.begin(), pairs.end(), listed_before);
  return pairs;
}

std::optional<std::size_t> find(const std::vector<Pair>& pairs, auto&& matches) {
  const auto it = std::find_if(pairs.begin(), pairs.end(), matches);
  return it == pairs.end() ? std::nullopt : std::optional(std::size_t(it - pairs.begin()));
}

std::vector<Comparison> comparisons(const std::vector<Pair>& pairs, const std::string& baseline) {
  const auto full = find(pairs, [](const Pair& pair) { return pair.method == kFull; });
  std::vector<Comparison> comparisons;
  for (const Pair& pair : pairs) {
    Comparison comparison;
    if (pair.method != kFull) {
      comparison.reference = full;
      if (pair.method != baseline)
        comparison.baseline = find(pairs, [&](const Pair& other) {
          return other == Pair{baseline, pair.keep};
        });
    }
    comparisons.push_back(comparison);
  }
  return comparisons;
}

/// The strata of all tasks; every row has a tally for each of a task's samples.
std::vector<TaskSamples> strata_of(std::span<const Observation> observations, const std::vector<Pair>& pairs,
                                   Numbering& tasks) {
  std::map<Pair, std::size_t> rows;
  for (std::size_t row = 0; row < pairs.size(); ++row) rows.emplace(pairs[row], row);
  std::vector<TaskSamples> strata;
  std::vector<Numbering> samples;
  for (const Observation& observation : observations) {
    const std::size_t task = tasks.number(observation.task);
    if (task == strata.size()) {
      strata.emplace_back(pairs.size());
      samples.emplace_back();
    }
    auto& tallies = strata[task][rows.at(observation.pair)];
    const std::size_t sample = samples[task].number(observation.sample);
    if (tallies.size() <= sample) tallies.resize(sample + 1);
    tallies[sample].add(observation.value);
  }
  for (std::size_t task = 0; task < strata.size(); ++task)
    for (auto& tallies : strata[task]) tallies.resize(samples[task].size());
  return strata;
}

}  // namespace

Table tabulate(std::span<const Observation> observations, std::vector<Column> columns,
               const std::string& baseline) {
  const std::vector<Pair> pairs = sorted_pairs(observations);
  Numbering tasks;
  const std::vector<TaskSamples> strata = strata_of(observations, pairs, tasks);

  Table table;
  std::vector<TaskIndices> column_tasks;
  for (Column& column : columns) {
    TaskIndices found;
    for (const std::string& task : column.tasks)
      if (const auto number = tasks.find(task)) found.push_back(*number);
    if (found.empty()) continue;
    table.columns.push_back(std::move(column.name));
    column_tasks.push_back(std::move(found));
  }
  if (table.columns.empty()) return table;

  const auto estimates = bootstrap(strata, column_tasks, comparisons(pairs, baseline));
  for (std::size_t row = 0; row < pairs.size(); ++row) {
    Row& added = table.rows.emplace_back(Row{pairs[row], {}});
    for (const auto& column : estimates) added.cells.push_back(column[row]);
  }
  return table;
}

}  // namespace chunkkv::report
