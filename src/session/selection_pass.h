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

/// What a pass chooses among, and which queries choose.
struct PassShape {
  std::int32_t n_entries = 0;   ///< entries there will be when it chooses
  std::int32_t n_read = 0;      ///< tokens the sequence will have read by then; shares are taken of it
  bool window = true;           ///< a plan's window of the last entries is observed
  std::int32_t n_question = 0;  ///< queries read ahead, after the last entry, that are observed
  bool share_layers = false;    ///< one kept set for all layers
  /// Highest scores of earlier choices, as shares of their sum; with it an entry counts with its highest so
  /// far. The first plan's.
  std::shared_ptr<AttentionHistory> highest = nullptr;
  /// An answer is written after the last entry: plans that observe its first tokens choose after those.
  bool has_answer = false;
};

/// Follows the reading of tokens up to one choice and lets every plan choose what it would keep, layer by
/// layer: a layer's statistics live only while its plans choose. What plans choose that observe the answer
/// is among the same entries; of the steps in between a pass keeps each layer's query.
///
/// Queries are numbered like entries; those of the question, or of the answer, follow the last entry.
class SelectionPass final : public engine::Observer {
 public:
  /// UsageError for a budget that cannot hold what a plan protects. `history` is used and brought up to date
  /// by plans that read every query.
  SelectionPass(engine::Context& context, std::span<const Plan> plans, const PassShape& shape,
                AttentionHistory& history, Timings& timings);

  SelectionPass(const SelectionPass&) = delete;
  SelectionPass& operator=(const SelectionPass&) = delete;

  /// Expects a micro-batch that is about to be computed: queries first .. first + count - 1. `cells` are
  /// those of all entries before it. A micro-batch holds entries, the question, or one token of the answer.
  void before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells);
  /// The micro-batch is read; `cells` are those of all entries by now. After a plan's last query it completes
  /// the choice.
  void after(std::span<const std::int32_t> cells);

  bool watches(std::int32_t layer) const override;
  void see(const engine::Attention& attention) override;

  /// The query that is expected next.
  std::int32_t next_query() const { return first_ + count_; }
  /// Whether all plans have chosen.
  bool complete() const;
  /// Whether plan `index` chose in the last micro-batch.
  bool chose(std::size_t index) const { return is_due(plans_[index]); }
  std::size_t n_plans() const { return plans_.size(); }
  /// What is known of a choice before it is made: no layers.
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
    std::int32_t reuse;
    bool shared, keeps_scores;
    Scores sum;  ///< of the layers' scores, where they share a kept set
  };
  static bool scores(const PlanState& state, std::int32_t layer) {
    return !state.plan.method->keeps_all() && layer % state.reuse == 0;
  }
  std::int32_t first_observed(const ObservationRequest& request) const;
  engine::QueryRange observed_rows(const ObservationRequest& request) const;
  bool observes(const PlanState& state, std::int32_t layer) const;
  /// Tokens of the answer before the micro-batch in work; negative: there is none yet.
  std::int32_t n_answered() const;
  /// Where the queries end that `state` reads.
  std::int32_t last_query(const PlanState& state) const;
  bool is_due(const PlanState& state) const { return next_query() == last_query(state); }
  void observe(const engine::Attention& attention);
  void store(const engine::Attention& attention);
  void choose(std::int32_t layer);
  void choose(PlanState& state, Selection& selection, std::int32_t layer);
  std::int32_t n_past(const PlanState& state) const;
  void fill_in(const PlanState& state, Selection& selection);
  void remember(std::int32_t layer);
  engine::LayerProbe& probe(std::int32_t layer);

  engine::Context& context_;
  PassShape shape_;
  AttentionHistory& history_;
  Timings& timings_;
  std::vector<PlanState> plans_;
  std::set<std::int32_t> strides_;  // of plans that read all queries
  std::vector<Selection> selections_;
  std::vector<std::unique_ptr<engine::LayerProbe>> probes_;  // by layer, while it is being observed
  std::vector<bool> chosen_;                                 // by layer, in this micro-batch
  std::vector<std::int32_t> cells_;                          // of all entries seen so far
  std::int32_t first_ = 0, count_ = 0;                       // the micro-batch in work
};

}  // namespace chunkkv
