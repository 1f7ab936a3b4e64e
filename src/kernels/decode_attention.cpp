#include "kernels/decode_attention.h"

#include <algorithm>

namespace chunkkv::kernels {
namespace {

constexpr std::int64_t kFewestCellsOfPart = 256, kMostParts = 16;

}  // namespace

void CellLists::read(const VisibleCells& visible) {
  cells.clear();
  parts.clear();
  first_parts.assign(1, 0);
  for (std::int64_t q = 0; q < visible.n_queries; ++q) {
    const auto begin = std::int64_t(cells.size());
    for (std::int64_t g = 0; g < visible.n_groups(); ++g)
      for (std::uint32_t word = visible.words[std::size_t(g * visible.n_queries + q)]; word != 0;
           word &= word - 1)
        cells.push_back(std::uint32_t(32 * g + __builtin_ctz(word)));
    const std::int64_t n = std::int64_t(cells.size()) - begin;
    const std::int64_t n_parts =
        std::clamp((n + kFewestCellsOfPart - 1) / kFewestCellsOfPart, std::int64_t(1), kMostParts);
    for (std::int64_t p = 0; p < n_parts; ++p)
      parts.push_back({q, begin + p * n / n_parts, begin + (p + 1) * n / n_parts});
    first_parts.push_back(std::int64_t(parts.size()));
  }
}

DecodeAttentionTask::DecodeAttentionTask(const AttentionTask& of, const CellLists& lists)
    : task(of),
      parts(lists.parts.data()),
      first_parts(lists.first_parts.data()),
      cells(lists.cells.data()),
      n_parts(std::int64_t(lists.parts.size())) {}

}  // namespace chunkkv::kernels
