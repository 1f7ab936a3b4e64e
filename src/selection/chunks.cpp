#include "selection/chunks.h"

#include <numeric>

namespace chunkkv {

std::vector<double> chunk_scores(std::span<const float> scores, const Chunks& chunks, ChunkScore kind) {
  std::vector<double> totals(std::size_t(chunks.count()));
  for (std::int32_t c = 0; c < chunks.count(); ++c) {
    const auto chunk = scores.subspan(std::size_t(chunks.first(c)), std::size_t(chunks.size(c)));
    const double sum = std::accumulate(chunk.begin(), chunk.end(), 0.0);
    totals[std::size_t(c)] = kind == ChunkScore::mean ? sum / double(chunk.size()) : sum;
  }
  return totals;
}

}  // namespace chunkkv
