#include "report/needles.h"

#include "report/bootstrap.h"
#include "report/method_spec.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace chunkkv::report {
namespace {

using Cells = std::map<std::pair<double, double>, Tally>;  // (depth, length)

NeedleGrid::Map map_of(const Pair& pair, const Cells& cells, const NeedleGrid& grid) {
  NeedleGrid::Map map{.pair = pair, .scores = {}, .mean = 0};
  Tally all;
  for (const double depth : grid.depths) {
    auto& row = map.scores.emplace_back();
    for (const double length : grid.lengths) {
      const auto it = cells.find({depth, length});
      row.push_back(it == cells.end() ? std::nullopt : std::optional(it->second.sum / it->second.count));
      if (it == cells.end()) continue;
      all.sum += it->second.sum;
      all.count += it->second.count;
    }
  }
  map.mean = all.sum / all.count;
  return map;
}

NeedleGrid grid_of(const std::string& variant, const std::map<Pair, Cells>& pairs) {
  std::set<double> lengths, depths;
  for (const auto& [pair, cells] : pairs)
    for (const auto& [place, tally] : cells) {
      depths.insert(place.first);
      lengths.insert(place.second);
    }
  NeedleGrid grid{.variant = variant,
                  .lengths = {lengths.begin(), lengths.end()},
                  .depths = {depths.begin(), depths.end()},
                  .maps = {}};
  for (const auto& [pair, cells] : pairs) grid.maps.push_back(map_of(pair, cells, grid));
  std::stable_sort(grid.maps.begin(), grid.maps.end(),
                   [](const auto& a, const auto& b) { return listed_before(a.pair, b.pair); });
  return grid;
}

}  // namespace

std::vector<NeedleGrid> needle_grids(std::span<const Answer* const> answers) {
  std::map<std::string, std::map<Pair, Cells>> variants;
  for (const Answer* answer : answers)
    if (answer->length && answer->depth)
      variants[answer->sample.group][answer->pair][{*answer->depth, *answer->length}].add(answer->score);
  std::vector<NeedleGrid> grids;
  for (const auto& [variant, pairs] : variants) grids.push_back(grid_of(variant, pairs));
  return grids;
}

}  // namespace chunkkv::report
