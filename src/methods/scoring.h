#pragma once

#include <chunkkv/observation.h>
#include <chunkkv/types.h>

#include "selection/pooling.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace chunkkv {

// Steps from observations to scores that several methods share. All arrays are [head][entry].

/// How the query heads of a KV head become one.
enum class Group : std::uint8_t { mean, max, sum };

/// `values` as [n_heads][n_entries]; Error when the observation does not hold them.
std::span<const float> observed(const std::vector<float>& values, std::int32_t n_heads,
                                const LayerObservation& observation, std::string_view what);

/// Attention sums of the query heads, reduced to KV heads: [n_head_kv][n_entries].
Scores attention_of_kv_heads(const LayerObservation& observation, Group group);

/// Observed values per KV head as scores, times `factor`: [n_head_kv][n_entries].
Scores scaled(const std::vector<float>& values, const LayerObservation& observation, std::string_view what,
              float factor);

/// Multiplies in place.
void scale(Scores& scores, float factor);

/// Multiplies each score by the L2 norm of the KV head's value of that entry.
void weigh_by_value_norms(Scores& scores, const LayerObservation& observation);

/// Pools the entries before the last `window` ones, which are not pooled and do not leak into the others.
void pool_before_window(Scores& scores, std::int32_t window, Pool kind, std::int32_t kernel);

/// The sum over heads: [1][n_entries].
Scores sum_of_heads(const Scores& scores);

}  // namespace chunkkv
