#pragma once

#include <chunkkv/observation.h>
#include <chunkkv/registry.h>
#include <chunkkv/types.h>

#include "selection/pooling.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace chunkkv {

// Steps from observations to scores that several methods share. All arrays are [head][entry].

/// How the attention of the query heads that share a KV head becomes one row.
enum class Group : std::uint8_t { mean, max, sum };

/// Returns `values`, checked to be [n_heads][n_entries]; Error, which names `what`, otherwise.
std::span<const float> observed(const std::vector<float>& values, std::int32_t n_heads,
                                const LayerObservation& observation, std::string_view what);

/// Attention sums of the query heads, reduced to KV heads: [n_head_kv][n_entries].
Scores attention_of_kv_heads(const LayerObservation& observation, Group group);

/// Observed values per KV head as scores, times `factor`: [n_head_kv][n_entries].
Scores scaled(const std::vector<float>& values, const LayerObservation& observation, std::string_view what,
              float factor);

/// Multiplies all scores by `factor`.
void scale(Scores& scores, float factor);

/// Multiplies each score by the L2 norm of the KV head's value of that entry.
void weigh_by_value_norms(Scores& scores, const LayerObservation& observation);

/// Pools the entries before the last `window` ones, which are not pooled and do not leak into the others.
void pool_before_window(Scores& scores, std::int32_t window, Pool kind, std::int32_t kernel);

/// The sum of a head's scores from the fifth entry to the last before the `window`: attention sinks and the
/// window, which is kept anyway, do not count.
double total_before_window(const Scores& scores, std::int32_t head, std::int32_t window);

/// Scales each head so that `total_before_window` is 1; a head whose total is 0 becomes 0.
void normalize_before_window(Scores& scores, std::int32_t window);

/// How far a score spreads to the entries after it: a question attends to the words that it shares with the
/// text, and the answer stands after them.
struct Lift {
  float spread = 0;  ///< weight of the lifted score beside the token's own
  std::int32_t reach = 0;

  explicit Lift(const Parameters& p) : spread(float(p.real("spread"))), reach(p.integer("reach")) {}
};

/// Adds to each entry before the `window` the highest score among itself, the `reach` entries before
/// it and the 2 after it. These lifted scores are scaled so that their sum over a head is `spread`
/// times that of its own.
void add_lifted(Scores& scores, std::int32_t window, const Lift& lift);

/// The sum over heads: [1][n_entries].
Scores sum_of_heads(const Scores& scores);

}  // namespace chunkkv
