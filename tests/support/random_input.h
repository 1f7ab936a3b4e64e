#pragma once

#include <chunkkv/types.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace chunkkv::test {

inline std::vector<Token> random_tokens(std::mt19937& random, std::int32_t n, std::int32_t n_vocab = 256) {
  std::uniform_int_distribution<Token> token(3, n_vocab - 1);
  std::vector<Token> tokens(std::size_t(n), 0);
  for (Token& t : tokens) t = token(random);
  return tokens;
}

/// `count` ascending entries of 0 .. n-1, among them the last one.
inline std::vector<std::int32_t> random_kept(std::mt19937& random, std::int32_t n, std::int32_t count) {
  std::vector<std::int32_t> all(std::size_t(n) - 1);
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::int32_t> kept;
  std::sample(all.begin(), all.end(), std::back_inserter(kept), count - 1, random);
  kept.push_back(n - 1);
  return kept;
}

/// A random kept set for each layer and, with n_heads > 1, for each KV head.
inline std::vector<LayerKept> random_layers(std::mt19937& random, std::int32_t n_layers, std::int32_t n_heads,
                                            std::int32_t n, std::int32_t count) {
  std::vector<LayerKept> layers;
  for (std::int32_t l = 0; l < n_layers; ++l) {
    LayerKept layer{l, {}};
    for (std::int32_t h = 0; h < n_heads; ++h) layer.heads.push_back(random_kept(random, n, count));
    layers.push_back(std::move(layer));
  }
  return layers;
}

/// The kept set `kept` for all layers.
inline std::vector<LayerKept> same_layers(std::int32_t n_layers, const std::vector<std::int32_t>& kept) {
  std::vector<LayerKept> layers;
  for (std::int32_t l = 0; l < n_layers; ++l) layers.push_back({l, {kept}});
  return layers;
}

}  // namespace chunkkv::test
