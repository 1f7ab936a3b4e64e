#include "session/session_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv {
namespace {

// Number of queries whose attention is copied to the host at once.
constexpr std::int32_t kQueryTile = 16;

/// Passes the attention of a micro-batch to a handler, by entry.
class AttentionReader final : public engine::Observer {
 public:
  using Handler = std::function<void(const AttentionRows&)>;
  /// `first`: index of the micro-batch's first token among the evaluated ones.
  AttentionReader(engine::Context& context, const SequenceCells& before, std::size_t first,
                  const Handler& handler)
      : context_(context), cells_(before.cells), first_(std::int32_t(first)), handler_(handler) {}

  bool watches(std::int32_t) const override { return true; }
  bool adds_up_all(std::int32_t) const override { return false; }

  void see(const engine::Attention& attention) override {
    cells_.resize(n_before_);
    cells_.insert(cells_.end(), attention.cells.begin(), attention.cells.end());
    const auto count = std::int32_t(attention.cells.size());
    std::vector<float> by_entry;
    for (std::int32_t done = 0; done < count; done += kQueryTile) {
      const engine::QueryRange now{done, std::min(kQueryTile, count - done)};
      const auto by_cell = context_.attention_weights(attention, now);
      const std::size_t rows = by_cell.size() / std::size_t(attention.n_kv);
      by_entry.resize(rows * cells_.size());
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < cells_.size(); ++i)
          by_entry[row * cells_.size() + i] =
              by_cell[row * std::size_t(attention.n_kv) + std::size_t(cells_[i])];
      handler_({.layer = attention.layer,
                .n_head = context_.n_head(attention.layer),
                .n_head_kv = context_.parts().n_head_kv[std::size_t(attention.layer)],
                .first_query = first_ + done,
                .n_queries = now.count,
                .n_entries = std::int32_t(cells_.size()),
                .n_cells = std::int32_t(attention.n_kv),
                .weights = by_entry});
    }
  }

 private:
  engine::Context& context_;
  std::vector<std::int32_t> cells_;  // cells of all entries, those of the micro-batch last
  std::size_t n_before_ = cells_.size();
  std::int32_t first_;
  const Handler& handler_;
};

}  // namespace

void Sequence::evaluate(std::span<const Token> tokens,
                        const std::function<void(std::size_t, std::span<const float>)>& on_logits,
                        const std::function<void(const AttentionRows&)>& on_attention) {
  engine::Context& context = state_.context;
  const auto n_ubatch = std::size_t(context.n_ubatch());
  if (!on_logits) throw UsageError("an evaluation needs a function that takes the logits");
  state_.session.model->require_tokens(tokens);
  state_.session.require_room(tokens.size());
  state_.require_window_room(std::int64_t(tokens.size()), context.n_ubatch());
  state_.cancel_waiting();
  for (std::size_t done = 0; done < tokens.size();) {
    const auto now = tokens.subspan(done, std::min(tokens.size() - done, n_ubatch));
    AttentionReader reader(context, state_.cells, done, on_attention);
    engine::Segment batch = state_.segment(now, on_attention ? &reader : nullptr);
    batch.all_logits = true;
    state_.decode(batch);
    for (std::size_t i = 0; i < now.size(); ++i) on_logits(done + i, context.logits(std::int32_t(i)));
    done += now.size();
  }
}

std::vector<float> Sequence::magnitudes(std::int32_t layer) const {
  if (layer < 0 || layer >= state_.context.n_layer())
    throw UsageError(fmt::format("there is no layer {}", layer));
  return state_.context.magnitudes(layer, state_.cells.cells);
}

}  // namespace chunkkv
