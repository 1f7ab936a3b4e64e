#pragma once

#include <chunkkv/session.h>

#include <vector>

namespace chunkkv::test {

/// A cache of `n` cells, read by one thread in micro-batches of 64.
inline SessionOptions cells(std::int32_t n, CacheType type = CacheType::f16) {
  SessionOptions options;
  options.n_cells = n;
  options.n_ubatch = 64;
  options.n_threads = 1;
  options.type_k = options.type_v = type;
  return options;
}

/// The same for a cache that two sequences share.
inline SessionOptions cells_of_two(std::int32_t n, CacheType type = CacheType::f16) {
  SessionOptions options = cells(n, type);
  options.n_sequences = 2;
  return options;
}

/// Decodes `tokens` one by one and returns the logits after each, joined.
inline std::vector<float> logits_after(Session& session, const std::vector<Token>& tokens,
                                       SequenceId sequence = 0) {
  std::vector<float> all;
  for (const Token token : tokens) {
    const auto logits = session.sequence(sequence).decode(token);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

}  // namespace chunkkv::test
