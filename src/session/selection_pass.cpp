#include "session/selection_pass.h"

#include "base/stopwatch.h"
#include "session/running_maximum.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace chunkkv {
namespace {

/// Adds one layer's scores to a sum over layers, [1][n_entries]: the mean over its heads, shifted to a
/// lowest score of 0 and scaled to a total of 1, so that every layer has the same say.
void add_shared(Scores& sum, const Scores& layer) {
  const auto n = std::size_t(layer.n_entries);
  std::vector<double> mean(n);
  for (std::int32_t h = 0; h < layer.n_heads; ++h)
    for (std::size_t i = 0; i < n; ++i) mean[i] += layer.head(h)[i];
  const double lowest = *std::min_element(mean.begin(), mean.end());
  for (double& score : mean) score -= lowest;
  const double total = std::accumulate(mean.begin(), mean.end(), 0.0);
  if (sum.values.empty()) sum = {1, layer.n_entries, std::vector<float>(n)};
  for (std::size_t i = 0; i < n && total > 0; ++i) sum.values[i] += float(mean[i] / total);
}

}  // namespace

SelectionPass::SelectionPass(engine::Context& context, std::span<const Plan> plans, const PassShape& shape,
                             AttentionHistory& history, Timings& timings)
    : context_(context),
      shape_(shape),
      history_(history),
      timings_(timings),
      selections_(plans.size()),
      probes_(std::size_t(context.n_layer())),
      chosen_(std::size_t(context.n_layer())) {
  for (std::size_t i = 0; i < plans.size(); ++i) {
    // A bad budget is refused before the work is done.
    const ResolvedPlan plan = plans[i].at(shape.n_read, shape.n_entries, context.n_layer());
    const Method& method = *plan.method;
    PlanState state{.plan = plan,
                    .request = method.request(),
                    .reuse = method.reuse(),
                    .shared = plans[i].share_layers || shape.share_layers,
                    .keeps_scores = plans[i].keep_scores,
                    .sum = {}};
    if (!shape.has_answer || plans[i].at_once || method.keeps_all()) state.request.after = 0;
    if (state.shared && method.layer_budgets())
      throw UsageError(method.spec() +
                       " gives each layer a budget of its own, so layers cannot share a kept set");
    selections_[i].n_entries = shape.n_entries;
    selections_[i].after = state.request.after;
    if (state.request.queries == Queries::all) strides_.insert(state.request.stride);
    selections_[i].uneven = method.layer_budgets() ? Uneven::mask : Uneven::keep_newest;
    selections_[i].layers.resize(std::size_t(context.n_layer()));
    if (state.keeps_scores) selections_[i].scores.resize(std::size_t(context.n_layer()));
    plans_.push_back(std::move(state));
  }
}

std::int32_t SelectionPass::first_observed(const ObservationRequest& request) const {
  return request.queries == Queries::all ? 0 : first_window_entry(request);
}

engine::QueryRange SelectionPass::observed_rows(const ObservationRequest& request) const {
  const std::int32_t stride = request.queries == Queries::all ? request.stride : 1;
  std::int32_t from = std::max(first_observed(request), first_);
  from = (from + stride - 1) / stride * stride - first_;
  return {from, from < count_ ? (count_ - from + stride - 1) / stride : 0, stride};
}

std::int32_t SelectionPass::query_end(const PlanState& state) const {
  return shape_.n_entries + shape_.n_question + state.request.after;
}

bool SelectionPass::complete() const {
  if (next_query() < shape_.n_entries + shape_.n_question) return false;
  return std::none_of(plans_.begin(), plans_.end(),
                      [&](const PlanState& s) { return next_query() < query_end(s); });
}

std::int32_t SelectionPass::n_answered() const {
  return shape_.has_answer ? first_ - shape_.n_entries : -1;
}

bool SelectionPass::observes(const PlanState& state, std::int32_t layer) const {
  if (state.request.queries == Queries::none || !scores(state, layer)) return false;
  if (n_answered() >= 0) return n_answered() < state.request.after;
  return first_ + count_ > first_observed(state.request);
}

std::int32_t SelectionPass::first_window_entry(const ObservationRequest& request) const {
  return shape_.window ? std::max(0, shape_.n_entries - request.window) : shape_.n_entries;
}

engine::LayerProbe& SelectionPass::probe(std::int32_t layer) {
  auto& p = probes_[std::size_t(layer)];
  if (!p) {
    p = context_.probe(layer, cells_, shape_.n_entries);
    for (const std::int32_t stride : strides_)
      p->set_history(stride, history_.sums(AttentionHistory::key(layer, stride), shape_.n_entries));
  }
  return *p;
}

void SelectionPass::before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells) {
  first_ = first;
  count_ = count;
  cells = cells.first(std::min(cells.size(), std::size_t(shape_.n_entries)));
  cells_.assign(cells.begin(), cells.end());
  chosen_.assign(std::size_t(context_.n_layer()), false);
}

bool SelectionPass::watches(std::int32_t layer) const {
  return std::any_of(plans_.begin(), plans_.end(), [&](const PlanState& s) { return observes(s, layer); });
}

bool SelectionPass::adds_up_all(std::int32_t layer) const {
  return n_answered() < 0 && std::any_of(plans_.begin(), plans_.end(), [&](const PlanState& s) {
           return observes(s, layer) && s.request.queries == Queries::all && s.request.stride == 1;
         });
}

void SelectionPass::see(const engine::Attention& attention) {
  n_answered() < 0 ? observe(attention) : store(attention);
  if (!attention.is_last) return;  // readers of one layer's rows choose together, with the last one
  if (shape_.n_question == 0 && next_query() == shape_.n_entries) save_history(attention.layer);
  if (std::any_of(plans_.begin(), plans_.end(), [&](const PlanState& s) { return is_due(s); }))
    choose(attention.layer);
}

/// Sums the attention of a micro-batch of the prompt or the question.
void SelectionPass::observe(const engine::Attention& attention) {
  Stopwatch watch(timings_.observe);
  const bool is_question = first_ >= shape_.n_entries;
  if (!is_question && cells_.size() == std::size_t(first_))
    cells_.insert(cells_.end(), attention.cells.begin(), attention.cells.end());
  if (is_question && first_ == shape_.n_entries && attention.reader == 0) save_history(attention.layer);

  std::set<engine::LayerProbe::AttentionKey> added;  // several plans may ask for the same
  for (const PlanState& state : plans_) {
    if (!observes(state, attention.layer)) continue;
    if (!added.insert(engine::LayerProbe::key_of(state.request)).second) continue;
    const engine::QueryRange rows = observed_rows(state.request);
    if (rows.count > 0)
      probe(attention.layer).add_attention(state.request, attention, rows, first_window_entry(state.request));
  }
}

/// Stores the query of a step of the answer; the attention of all stored queries is
/// computed in the last step.
void SelectionPass::store(const engine::Attention& attention) {
  Stopwatch watch(timings_.observe);
  probe(attention.layer).store_query(attention, std::size_t(n_answered()));
  for (const PlanState& state : plans_)
    if (is_due(state) && observes(state, attention.layer))
      probe(attention.layer).add_stored(state.request, attention, first_window_entry(state.request));
}

void SelectionPass::after(std::span<const std::int32_t> cells) {
  if (std::none_of(plans_.begin(), plans_.end(), [&](const PlanState& s) { return is_due(s); })) return;
  cells = cells.first(std::min(cells.size(), std::size_t(shape_.n_entries)));
  cells_.assign(cells.begin(), cells.end());
  for (std::int32_t layer = 0; layer < context_.n_layer(); ++layer)
    if (!chosen_[std::size_t(layer)]) choose(layer);
  for (std::size_t i = 0; i < plans_.size(); ++i)
    if (is_due(plans_[i])) fill_in(plans_[i], selections_[i]);
}

/// Saves the sums before the question, which is read again with the prompt, adds to them for this choice.
void SelectionPass::save_history(std::int32_t layer) {
  if (!probes_[std::size_t(layer)]) return;
  for (const std::int32_t stride : strides_)
    if (std::vector<float> sums = probe(layer).history(stride); !sums.empty())
      history_.set(AttentionHistory::key(layer, stride), std::move(sums), shape_.n_entries);
}

void SelectionPass::choose(std::int32_t layer) {
  bool is_awaited = false;  // a plan that reads more of the answer still needs the statistics
  for (std::size_t i = 0; i < plans_.size(); ++i) {
    if (is_due(plans_[i])) choose(plans_[i], selections_[i], layer);
    is_awaited = is_awaited || (next_query() < query_end(plans_[i]) && scores(plans_[i], layer));
  }
  if (!is_awaited) probes_[std::size_t(layer)].reset();
  chosen_[std::size_t(layer)] = true;
}

void SelectionPass::choose(PlanState& state, Selection& selection, std::int32_t layer) {
  LayerKept& kept = selection.layers[std::size_t(layer)];
  if (state.plan.method->keeps_all()) {
    kept.heads.assign(1, std::vector<std::int32_t>(std::size_t(shape_.n_entries)));
    std::iota(kept.heads[0].begin(), kept.heads[0].end(), 0);
    return;
  }
  if (!scores(state, layer)) return;
  Stopwatch observing(timings_.observe);
  const LayerObservation observation = probe(layer).observe(state.request);
  observing.stop();
  Stopwatch selecting(timings_.select);
  Scores ranking = state.plan.method->score(observation);
  if (shape_.highest != nullptr)
    raise_to_running_maximum(*shape_.highest, ranking, layer, span_for(state.plan.target.budget));
  if (state.shared) {
    add_shared(state.sum, ranking);
  } else {
    const LayerTarget& wanted = state.plan.layers[std::size_t(layer)];
    kept = select_layer(layer, ranking, wanted.target, wanted.rule);
  }
  if (state.keeps_scores) selection.scores[std::size_t(layer)] = std::move(ranking);
}

/// Fills in the layers that did not choose themselves.
void SelectionPass::fill_in(const PlanState& state, Selection& selection) {
  std::vector<LayerKept>& layers = selection.layers;
  if (state.shared && !state.plan.method->keeps_all()) {
    Stopwatch selecting(timings_.select);
    const LayerTarget& wanted = state.plan.layers.front();
    layers[0] = select_layer(0, state.sum, wanted.target, wanted.rule);
  }
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    if (layers[layer].heads.empty())
      layers[layer].heads = layers[state.shared ? 0 : layer - layer % std::size_t(state.reuse)].heads;
    layers[layer].layer = std::int32_t(layer);
    for (const auto& head : layers[layer].heads)
      selection.n_kept = std::max(selection.n_kept, std::int32_t(head.size()));
  }
}

}  // namespace chunkkv
