#pragma once

#include <chunkkv/budget.h>
#include <chunkkv/method.h>
#include <chunkkv/selection.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace chunkkv {

/// What one layer is to keep, and by which rule.
struct LayerTarget {
  Target target;
  SelectionRule rule;  ///< the method's rule, with the entries that the plan protects
};

/// A plan with its budgets as numbers, for a certain number of entries.
struct ResolvedPlan {
  /// The method that observes and scores: the plan's, or the same with a smaller window.
  std::shared_ptr<const Method> method;
  Target target;  ///< the plan's target; that of every layer unless the method has layer budgets
  std::vector<LayerTarget> layers;  ///< [n_layer]
  /// The window that a small budget leaves of the `asked_window` last entries that the method observes or
  /// always keeps; 0: the method's own window was not changed.
  std::int32_t window = 0;
  std::int32_t asked_window = 0;
  /// Entries that the share alone would keep, where Plan::keep_at_least keeps more; else 0.
  std::int32_t share_alone = 0;

  bool keeps_all() const { return target.budget == target.n_entries; }
};

/// What one compression is to do.
struct Plan {
  std::shared_ptr<const Method> method;
  Budget budget;
  std::int32_t protect_first = 0;  ///< entries at the beginning that every method keeps (a system prompt)
  std::int32_t protect_last = 0;   ///< entries at the end that every method keeps (the newest turn)
  bool keep_scores = false;        ///< store the scores of every layer that scored in Selection::scores
  /// All layers keep the same entries: those with the best mean of the layers' scores, after each layer's
  /// scores are scaled to sum to 1. Implied by SessionOptions::cache_positions.
  bool share_layers = false;
  /// Choose at the prompt's end even where the method would observe the answer (ObservationRequest::after),
  /// for prompts that no answer follows.
  bool at_once = false;
  /// Fits the method to a small budget: a window larger than half the budget shrinks to half, for observing
  /// as well, and sinks that do not fit beside it shrink to half. False: a window that does not fit into the
  /// budget is refused.
  bool fit_window = false;
  std::int32_t keep_at_least = 0;  ///< lower bound on the entries that a share keeps; 0: none

  /// Returns how many entries to keep where `n_read` >= 1 tokens were read: the share of them, or the number
  /// asked for, which may be larger than `n_read`; the largest int32 for a method that keeps all. UsageError
  /// when there is no method.
  std::int32_t n_to_keep(std::int32_t n_read) const;

  /// Resolves the plan for `n_entries` entries, of `n_read` tokens read, in the cache of a model of `n_layer`
  /// layers. Only this function merges protection and turns budgets into numbers. UsageError when there is no
  /// method, or when the budget cannot hold the entries that are always kept.
  ResolvedPlan at(std::int32_t n_read, std::int32_t n_entries, std::int32_t n_layer) const;
};

}  // namespace chunkkv
