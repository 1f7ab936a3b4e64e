#include "session/kept_lengths.h"

#include <chunkkv/error.h>
#include <chunkkv/selection.h>

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace chunkkv {
namespace {

void check(const std::vector<std::int32_t>& list, std::int32_t n_entries, std::int32_t layer) {
  const std::string where = fmt::format("kept set of layer {}", layer);
  if (list.empty()) throw UsageError(fmt::format("{} is empty", where));
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] < 0 || list[i] >= n_entries)
      throw UsageError(fmt::format("{}: entry {} is not in 0 .. {}", where, list[i], n_entries - 1));
    if (i > 0 && list[i] <= list[i - 1])
      throw UsageError(fmt::format("{} is not ascending and unique at entry {}", where, list[i]));
  }
}

}  // namespace

std::vector<LayerKept> equalized(std::span<const LayerKept> layers, std::int32_t n_entries, Uneven uneven,
                                 std::vector<std::size_t>& visible) {
  std::vector<LayerKept> result(layers.begin(), layers.end());
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i].layer != std::int32_t(i) || result[i].heads.empty())
      throw UsageError(fmt::format("kept sets must list every layer in order; layer {} is missing", i));
    for (const auto& list : result[i].heads) check(list, n_entries, result[i].layer);
  }
  if (result.empty()) throw UsageError("there are no kept sets");
  visible.clear();
  if (uneven == Uneven::keep_newest) {
    equalize(result, n_entries);
    visible.assign(result.size(), result.front().heads.front().size());
    return result;
  }
  std::size_t longest = 0;
  for (const LayerKept& layer : result) {
    for (const auto& list : layer.heads)
      if (list.size() != layer.heads.front().size())
        throw UsageError(fmt::format(
            "the heads of layer {} keep different numbers of entries: only whole layers can hide cells",
            layer.layer));
    visible.push_back(layer.heads.front().size());
    longest = std::max(longest, visible.back());
  }
  for (LayerKept& layer : result)
    for (auto& list : layer.heads) list.resize(longest, list.back());
  return result;
}

}  // namespace chunkkv
