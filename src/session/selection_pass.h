#pragma once

#include <chunkkv/session.h>

#include "llama/context.h"
#include "session/attention_history.h"

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

namespace chunkkv {

/// The entries that a pass chooses among, and the queries that it observes.
struct PassShape {
  std::int32_t n_entries = 0;   ///< entries of the sequence when the pass chooses
  std::int32_t n_read = 0;      ///< tokens the sequence will have read by then; shares are taken of them
  bool window = true;           ///< observe a plan's window of the last entries
  std::int32_t n_question = 0;  ///< queries of the question, read ahead after the last entry
  bool share_layers = false;    ///< one kept set for all layers
  /// Highest scores of earlier choices, as shares of their sum. If given, each entry counts with its highest
  /// score so far (`raise_to_running_maximum`). For passes with one plan.
  std::shared_ptr<AttentionHistory> highest = nullptr;
  /// An answer follows the last entry: plans that observe its first tokens choose after these.
  bool has_answer = false;
};

/// Follows the reading of tokens up to one choice and lets every plan choose what it would keep, layer by
/// layer: a layer's statistics live only while its plans choose. Plans that observe the answer choose later,
/// among the same entries; until then the pass stores each layer's query of every step.
///
/// Queries are numbered like entries; those of the question, or of the answer, follow the last entry.
class SelectionPass final : public engine::Observer {
 public:
  /// UsageError for a budget that cannot hold what its plan protects. Plans that read every query add to the
  /// sums in `history`.
  SelectionPass(engine::Context& context, std::span<const Plan> plans, const PassShape& shape,
                AttentionHistory& history, Timings& timings);

  SelectionPass(const SelectionPass&) = delete;
  SelectionPass& operator=(const SelectionPass&) = delete;

  /// Announces a micro-batch that is about to be computed: queries first .. first + count - 1, which are
  /// entries, question tokens or one token of the answer. `cells`: the cells of all entries before it.
  void before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells);
  /// Ends the micro-batch and completes the choice of plans whose last query was in it. `cells`: the cells of
  /// all entries by now.
  void after(std::span<const std::int32_t> cells);

  bool watches(std::int32_t layer) const override;
  bool adds_up_all(std::int32_t layer) const override;
  void see(const engine::Attention& attention) override;

  /// The query that is expected next.
  std::int32_t next_query() const { return first_ + count_; }
  /// Whether all plans have chosen.
  bool complete() const;
  /// Whether plan `index` chose in the last micro-batch.
  bool chose(std::size_t index) const { return is_due(plans_[index]); }
  std::size_t n_plans() const { return plans_.size(); }
  /// What is known of a selection before its plan chooses; it has no layers.
  Selection outline(std::size_t index) const {
    Selection outline;
    outline.n_entries = selections_[index].n_entries;
    outline.after = selections_[index].after;
    return outline;
  }
  Selection take(std::size_t index) { return std::move(selections_[index]); }

 private:
  struct PlanState {
    ResolvedPlan plan;
    ObservationRequest request;
    std::int32_t reuse = 1;
    bool shared = false, keeps_scores = false;
    Scores sum;  ///< sum of the layers' scores, where they share a kept set
  };
  static bool scores(const PlanState& state, std::int32_t layer) {
    return !state.plan.method->keeps_all() && layer % state.reuse == 0;
  }
  std::int32_t first_observed(const ObservationRequest& request) const;
  engine::QueryRange observed_rows(const ObservationRequest& request) const;
  bool observes(const PlanState& state, std::int32_t layer) const;
  /// Tokens of the answer before the current micro-batch; negative where the answer has not begun.
  std::int32_t n_answered() const;
  /// One past the last query that `state` reads.
  std::int32_t query_end(const PlanState& state) const;
  bool is_due(const PlanState& state) const { return next_query() == query_end(state); }
  void observe(const engine::Attention& attention);
  void store(const engine::Attention& attention);
  void choose(std::int32_t layer);
  void choose(PlanState& state, Selection& selection, std::int32_t layer);
  std::int32_t first_window_entry(const ObservationRequest& request) const;
  void fill_in(const PlanState& state, Selection& selection);
  void save_history(std::int32_t layer);
  engine::LayerProbe& probe(std::int32_t layer);

  engine::Context& context_;
  PassShape shape_;
  AttentionHistory& history_;
  Timings& timings_;
  std::vector<PlanState> plans_;
  std::set<std::int32_t> strides_;  // strides of the plans that read all queries
  std::vector<Selection> selections_;
  std::vector<std::unique_ptr<engine::LayerProbe>> probes_;  // by layer, while it is being observed
  std::vector<bool> chosen_;                                 // by layer: whether it chose in this micro-batch
  std::vector<std::int32_t> cells_;                          // cells of all entries seen so far
  std::int32_t first_ = 0, count_ = 0;                       // the current micro-batch
};

}  // namespace chunkkv
