#pragma once

#include "llama/attention.h"
#include "llama/cache_layers.h"
#include "llama/compute.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Queries of the steps after a prompt, copied to the host.
struct StoredQueries {
  std::int64_t head_dim = 0;
  std::vector<std::vector<float>> q;     ///< [query], [n_head][head_dim], after RoPE
  std::vector<std::int32_t> cells;       ///< [query]: its own, which it and the later ones see
  std::span<const std::int32_t> prompt;  ///< cells that all see
};

/// Column sums of softmax(q k scale + mask) over `queries`, by cell: [n_head][n_kv]. Queries are taken in
/// tiles, so that on the CPU no more than 32 * n_kv * n_head attention weights exist at once, on other
/// devices as many as fit into 256 MiB.
std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                  QueryRange queries);

/// The same of the first `count` stored queries; what does not depend on queries is `attention`'s.
std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                  const StoredQueries& queries, std::int32_t count);

/// The attention of `queries` itself, by cell: [n_head][queries.count][n_kv]. For measurements; take few
/// queries at a time.
std::vector<float> attention_weights(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                     QueryRange queries);

/// R-KV's importance before pooling, by cell: [n_head_kv][n_kv]. Logits are maximised over the query
/// heads of a KV head; the softmax sees only cells with `past` = 1 ([n_kv]); column sums over `queries`.
std::vector<float> group_max_past_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                       QueryRange queries, std::span<const std::uint8_t> past);
std::vector<float> group_max_past_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                       const StoredQueries& queries, std::int32_t count,
                                       std::span<const std::uint8_t> past);

}  // namespace chunkkv::engine
