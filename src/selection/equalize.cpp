#include <chunkkv/error.h>
#include <chunkkv/selection.h>

#include <algorithm>
#include <cstddef>

namespace chunkkv {
namespace {

void fill_up(std::vector<std::int32_t>& list, std::size_t length, std::int32_t n_entries) {
  std::vector<std::int32_t> added;
  auto newest = list.rbegin();
  for (std::int32_t entry = n_entries - 1; entry >= 0 && list.size() + added.size() < length; --entry) {
    if (newest != list.rend() && *newest == entry)
      ++newest;
    else
      added.push_back(entry);
  }
  list.insert(list.end(), added.begin(), added.end());
  std::sort(list.begin(), list.end());
}

}  // namespace

void equalize(std::span<LayerKept> layers, std::int32_t n_entries) {
  std::size_t longest = 0;
  for (const auto& layer : layers)
    for (const auto& list : layer.heads) longest = std::max(longest, list.size());
  if (n_entries < 0 || longest > std::size_t(n_entries))
    throw UsageError("a kept set cannot hold more entries than there are");
  for (auto& layer : layers)
    for (auto& list : layer.heads)
      if (list.size() < longest) fill_up(list, longest, n_entries);
}

}  // namespace chunkkv
