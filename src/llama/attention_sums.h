#pragma once

#include "llama/compute.h"
#include "llama/tap.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chunkkv::engine {

/// Rows of one micro-batch whose attention is summed.
struct QueryRange {
  std::int32_t first = 0;
  std::int32_t count = 0;
};

/// Column sums of softmax(q k scale + mask) over `queries`, by cell: [n_head][n_kv]. Queries are taken in
/// tiles, so that on the CPU no more than 32 * n_kv * n_head attention weights exist at once, on other
/// devices as many as fit into 256 MiB.
std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                  QueryRange queries);

/// The attention of `queries` itself, by cell: [n_head][queries.count][n_kv]. For measurements; take few
/// queries at a time.
std::vector<float> attention_weights(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                     QueryRange queries);

/// R-KV's importance before pooling, by cell: [n_head_kv][n_kv]. Logits are maximised over the query
/// heads of a KV head; the softmax sees only cells with `past` = 1 ([n_kv]); column sums over `queries`.
std::vector<float> group_max_past_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                       QueryRange queries, std::span<const std::uint8_t> past);

}  // namespace chunkkv::engine
