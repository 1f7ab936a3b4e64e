#include "session/micro_batches.h"

#include <algorithm>

namespace chunkkv {

std::size_t next_micro_batch(std::size_t done, std::size_t left, std::size_t n_ubatch) {
  std::size_t most = n_ubatch - done % n_ubatch;
  if (most < kQueryTile) most = n_ubatch;
  if (left <= most) return left;
  const std::size_t rest = left - most;
  return rest < kQueryTile && most >= 2 * kQueryTile ? left - kQueryTile : most;
}

// The length is a multiple of the tile, or of an `n_ubatch` that is no multiple of the tile. Two tiles are
// left, since a prompt's last micro-batch may be a single tile that ends where the prompt ends.
std::size_t separable_length(std::size_t n_tokens, std::size_t n_observed, std::size_t n_ubatch) {
  const std::size_t n_left = std::max(n_observed, 2 * kQueryTile);
  if (n_tokens <= n_left) return 0;
  const std::size_t unit = n_ubatch % kQueryTile == 0 ? kQueryTile : n_ubatch;
  return (n_tokens - n_left) / unit * unit;
}

std::size_t shared_length(std::size_t n_same, std::size_t n_shorter, std::size_t n_ubatch) {
  const std::size_t most = std::min(n_same, n_shorter - std::min(n_shorter, n_ubatch));
  return most / n_ubatch * n_ubatch;
}

}  // namespace chunkkv
