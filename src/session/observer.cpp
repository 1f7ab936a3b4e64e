#include "session/observer.h"

#include "session/stopwatch.h"

#include <algorithm>
#include <numeric>

namespace chunkkv {

Observer::Observer(engine::Context& context, std::span<const Plan> plans, std::int32_t n_entries,
                   Timings& timings)
    : context_(context),
      timings_(timings),
      n_entries_(n_entries),
      selections_(plans.size()),
      probes_(std::size_t(context.n_layer())),
      chosen_(std::size_t(context.n_layer())) {
  const std::vector<float> any(std::size_t(n_entries), 0.0f);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Plan& plan = plans[i];
    const std::int32_t budget = plan.method->keeps_all() ? n_entries : plan.budget.resolve(n_entries);
    PlanState state{
        .plan = &plan,
        .request = plan.method->request(),
        .rule = {},
        .target = {.n_entries = n_entries, .budget = budget, .share = plan.budget.share(n_entries)},
        .reuse = plan.method->reuse()};
    state.rule = plan.method->selection(state.target);
    state.rule.first = std::max(state.rule.first, plan.protect_first);
    select(any, state.target, state.rule);  // so that a bad budget is refused before the work is done
    if (state.request.queries == Queries::window)
      window_ = std::max(window_, std::min(state.request.window, n_entries));
    plans_.push_back(state);

    selections_[i].n_entries = n_entries;
    selections_[i].layers.resize(std::size_t(context.n_layer()));
    if (plan.keep_scores) selections_[i].scores.resize(std::size_t(context.n_layer()));
  }
}

std::vector<bool> Observer::layers_to_tap(bool is_last) const {
  std::vector<bool> layers(std::size_t(context_.n_layer()));
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    layers[layer] = std::any_of(plans_.begin(), plans_.end(), [&](const PlanState& s) {
      const bool reads =
          s.request.queries == Queries::all || (is_last && s.request.queries == Queries::window);
      return reads && scores(s, std::int32_t(layer));
    });
  return layers;
}

engine::LayerProbe& Observer::probe(std::int32_t layer) {
  auto& p = probes_[std::size_t(layer)];
  if (!p) p = std::make_unique<engine::LayerProbe>(context_, layer, cells_, n_entries_);
  return *p;
}

void Observer::before(std::int32_t first, std::int32_t count, std::span<const std::int32_t> cells) {
  first_ = first;
  count_ = count;
  cells_.assign(cells.begin(), cells.end());
  std::vector<bool> layers = layers_to_tap(first + count == n_entries_);
  if (std::find(layers.begin(), layers.end(), true) == layers.end()) return;
  context_.tap().watch(std::move(layers),
                       [this](const engine::Attention& attention) { on_attention(attention); });
}

void Observer::on_attention(const engine::Attention& attention) {
  Stopwatch watch(timings_.observe);
  const std::vector<std::int32_t>& batch_cells = context_.tap().cells();
  if (cells_.size() == std::size_t(first_))
    cells_.insert(cells_.end(), batch_cells.begin(), batch_cells.end());

  const bool is_last = first_ + count_ == n_entries_;
  for (const PlanState& state : plans_) {
    if (state.request.queries == Queries::none || !scores(state, attention.layer)) continue;
    engine::QueryRange queries{0, count_};
    if (state.request.queries == Queries::window) {
      if (!is_last) continue;
      queries.count = std::min(state.request.window, n_entries_);
      queries.first = count_ - queries.count;
    }
    probe(attention.layer).add_attention(state.request, attention, queries, n_entries_ - queries.count);
  }
  watch.stop();
  if (is_last) choose(attention.layer);
}

void Observer::after(std::span<const std::int32_t> cells) {
  context_.tap().ignore();
  if (cells.size() != std::size_t(n_entries_)) return;
  cells_.assign(cells.begin(), cells.end());
  for (std::int32_t layer = 0; layer < context_.n_layer(); ++layer)
    if (!chosen_[std::size_t(layer)]) choose(layer);

  for (std::size_t i = 0; i < plans_.size(); ++i) {
    std::vector<LayerKept>& layers = selections_[i].layers;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      if (layers[layer].heads.empty())
        layers[layer].heads = layers[layer - layer % std::size_t(plans_[i].reuse)].heads;
      layers[layer].layer = std::int32_t(layer);
      for (const auto& head : layers[layer].heads)
        selections_[i].n_kept = std::max(selections_[i].n_kept, std::int32_t(head.size()));
    }
  }
}

void Observer::choose(std::int32_t layer) {
  for (std::size_t i = 0; i < plans_.size(); ++i) {
    const PlanState& state = plans_[i];
    LayerKept& kept = selections_[i].layers[std::size_t(layer)];
    if (state.plan->method->keeps_all()) {
      kept.heads.assign(1, std::vector<std::int32_t>(std::size_t(n_entries_)));
      std::iota(kept.heads[0].begin(), kept.heads[0].end(), 0);
      continue;
    }
    if (!scores(state, layer)) continue;
    Stopwatch observing(timings_.observe);
    const LayerObservation observation = probe(layer).observe(state.request);
    observing.stop();
    Stopwatch selecting(timings_.select);
    Scores ranking = state.plan->method->score(observation);
    kept = select_layer(layer, ranking, state.target, state.rule);
    if (state.plan->keep_scores) selections_[i].scores[std::size_t(layer)] = std::move(ranking);
  }
  probes_[std::size_t(layer)].reset();
  chosen_[std::size_t(layer)] = true;
}

}  // namespace chunkkv
