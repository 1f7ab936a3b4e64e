#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "llama/layer_probe.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace chunkkv {

/// Follows one prefill and lets every plan choose what it would keep, layer by layer: a layer's
/// statistics live only while its plans choose.
class Observer {
 public:
  /// UsageError for a budget that cannot hold what a plan protects.
  Observer(engine::Context& context, std::span<const Plan> plans, std::int32_t n_entries, Timings& timings);

  /// How many last queries must be computed in one micro-batch.
  std::int32_t window() const { return window_; }

  /// Watches a micro-batch that is about to be computed: entries first .. first + count - 1. `cells` are
  /// those of all entries before it.
  void before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells);
  /// Ends the watch. After the last micro-batch, `cells` of all entries, it completes the selections.
  void after(std::span<const std::int32_t> cells);

  std::vector<Selection> take_selections() { return std::move(selections_); }

 private:
  struct PlanState {
    const Plan* plan;
    ObservationRequest request;
    SelectionRule rule;
    Target target;
    std::int32_t reuse;
  };
  bool scores(const PlanState& state, std::int32_t layer) const {
    return !state.plan->method->keeps_all() && layer % state.reuse == 0;
  }
  std::vector<bool> layers_to_tap(bool is_last) const;
  void on_attention(const engine::Attention& attention);
  void choose(std::int32_t layer);
  engine::LayerProbe& probe(std::int32_t layer);

  engine::Context& context_;
  Timings& timings_;
  std::int32_t n_entries_;
  std::int32_t window_ = 0;
  std::vector<PlanState> plans_;
  std::vector<Selection> selections_;
  std::vector<std::unique_ptr<engine::LayerProbe>> probes_;  // by layer, while it is being observed
  std::vector<bool> chosen_;                                 // by layer
  std::vector<std::int32_t> cells_;                          // of all entries seen so far
  std::int32_t first_ = 0, count_ = 0;                       // the micro-batch in work
};

}  // namespace chunkkv
