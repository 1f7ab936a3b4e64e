#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "llama/layer_probe.h"
#include "session/attention_history.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace chunkkv {

/// What a round chooses among, and which queries choose.
struct RoundShape {
  std::int32_t n_entries = 0;   ///< entries there will be when it chooses
  std::int32_t n_read = 0;      ///< tokens the sequence will have read by then; shares are taken of it
  bool window = true;           ///< a plan's window of the last entries is observed
  std::int32_t n_question = 0;  ///< queries read ahead, after the last entry, that are observed
  bool share_layers = false;    ///< one kept set for all layers
  /// Highest scores of earlier choices, as shares of their sum; with it an entry counts with its highest so
  /// far. The first plan's.
  AttentionHistory* highest = nullptr;
};

/// Follows the reading of tokens up to one choice and lets every plan choose what it would keep, layer by
/// layer: a layer's statistics live only while its plans choose.
///
/// Queries are numbered like entries; those of the question follow the last entry.
class Round {
 public:
  /// UsageError for a budget that cannot hold what a plan protects. `history` is used and brought up to date
  /// by plans that read every query.
  Round(engine::Context& context, std::span<const Plan> plans, const RoundShape& shape,
        AttentionHistory& history, Timings& timings);

  /// Watches a micro-batch that is about to be computed: queries first .. first + count - 1. `cells` are
  /// those of all entries before it. A micro-batch holds entries or the question, not both.
  void before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells);
  /// Ends the watch; `cells` are those of all entries by now. After the last query it completes the choice.
  void after(std::span<const std::int32_t> cells);

  /// The query that is expected next.
  std::int32_t next_query() const { return first_ + count_; }
  bool complete() const { return next_query() == shape_.n_entries + shape_.n_question; }
  const std::vector<Selection>& selections() const { return selections_; }
  std::vector<Selection> take_selections() { return std::move(selections_); }

 private:
  struct PlanState {
    const Plan* plan;
    ObservationRequest request;
    Target target;
    std::int32_t reuse;
    bool shared;
    Scores sum;  ///< of the layers' scores, where they share a kept set
  };
  bool scores(const PlanState& state, std::int32_t layer) const {
    return !state.plan->method->keeps_all() && layer % state.reuse == 0;
  }
  Target target(const PlanState& state, std::int32_t layer) const;
  SelectionRule rule(const PlanState& state, const Target& target) const;
  std::int32_t first_observed(const ObservationRequest& request) const;
  bool observes(const PlanState& state, std::int32_t layer) const;
  void on_attention(const engine::Attention& attention);
  void choose(std::int32_t layer);
  void choose(PlanState& state, Selection& selection, std::int32_t layer);
  void fill_in(const PlanState& state, Selection& selection);
  void remember(std::int32_t layer);
  engine::LayerProbe& probe(std::int32_t layer);

  engine::Context& context_;
  RoundShape shape_;
  AttentionHistory& history_;
  Timings& timings_;
  std::vector<PlanState> plans_;
  std::vector<Selection> selections_;
  std::vector<std::unique_ptr<engine::LayerProbe>> probes_;  // by layer, while it is being observed
  std::vector<bool> chosen_;                                 // by layer
  std::vector<std::int32_t> cells_;                          // of all entries seen so far
  std::int32_t first_ = 0, count_ = 0;                       // the micro-batch in work
};

}  // namespace chunkkv
