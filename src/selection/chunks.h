#pragma once

#include <chunkkv/selection.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv {

/// The entries begin .. end - 1 cut into chunks of `length` from the beginning; the last may be shorter.
struct Chunks {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t length = 1;

  std::int32_t count() const { return (end - begin) / length + ((end - begin) % length != 0); }
  std::int32_t first(std::int32_t chunk) const { return begin + chunk * length; }
  std::int32_t size(std::int32_t chunk) const { return std::min(length, end - first(chunk)); }
  std::int32_t size(std::span<const std::int32_t> chunks) const {
    std::int32_t total = 0;
    for (const auto chunk : chunks) total += size(chunk);
    return total;
  }
};

/// The score of each chunk: the sum or mean of its entries' scores.
std::vector<double> chunk_scores(std::span<const float> scores, const Chunks& chunks, ChunkScore kind);

}  // namespace chunkkv
