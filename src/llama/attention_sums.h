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
  std::vector<std::vector<float>> q;     ///< for each query [n_head][head_dim], after RoPE
  std::vector<std::int32_t> cells;       ///< cell of each query's token, which it and later queries see
  std::span<const std::int32_t> prompt;  ///< cells of the prompt, which all queries see
};

/// Column sums of the attention weights of `queries`, rows of `attention.q`, by cell.
///
/// Where `past` is empty, the weights are softmax(q k scale + mask): [n_head][n_kv]. Where our own kernel
/// computed the attention, it computes the sums, too. Otherwise queries are taken in tiles: of 32 on the CPU,
/// elsewhere of as many as have 256 MiB of attention weights, but at least 32.
///
/// Else they are R-KV's importance before pooling: logits are maximised over the query heads of a KV head,
/// and the softmax sees only cells with `past` = 1 ([n_kv]): [n_head_kv][n_kv].
std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                  QueryRange queries, std::span<const std::uint8_t> past);

/// The same over the first `count` stored queries, in tiles. Everything but queries and mask is taken from
/// `attention`.
std::vector<float> attention_sums(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                  const StoredQueries& queries, std::int32_t count,
                                  std::span<const std::uint8_t> past);

/// The attention weights of `queries`, rows of `attention.q`, by cell: [n_head][queries.count][n_kv]. For
/// measurements; pass few queries at a time, since all weights exist at once.
std::vector<float> attention_weights(Compute& compute, const CacheLayer& cache, const Attention& attention,
                                     QueryRange queries);

}  // namespace chunkkv::engine
