#include "llama/attention_sums.h"
#include "llama/key_statistics.h"
#include "session/session_state.h"

#include <algorithm>

namespace chunkkv {
namespace {

// Queries whose attention comes to the host at once.
constexpr std::int32_t query_tile = 16;

/// Hands out the attention of a micro-batch, by entry.
void show_attention(engine::Context& context, const engine::Attention& attention,
                    std::span<const std::int32_t> cells, std::int32_t first, std::int32_t count,
                    const std::function<void(const AttentionRows&)>& handler) {
  const engine::CacheLayer& cache = context.tap().layers().at(attention.layer);
  std::vector<float> by_entry;
  for (std::int32_t done = 0; done < count; done += query_tile) {
    const engine::QueryRange now{done, std::min(query_tile, count - done)};
    const auto by_cell = engine::attention_weights(context.compute(), cache, attention, now);
    const std::size_t rows = by_cell.size() / std::size_t(attention.n_kv);
    by_entry.resize(rows * cells.size());
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t i = 0; i < cells.size(); ++i)
        by_entry[row * cells.size() + i] = by_cell[row * std::size_t(attention.n_kv) + std::size_t(cells[i])];
    handler({.layer = attention.layer,
             .n_head = cache.n_head,
             .n_head_kv = cache.n_head_kv,
             .first_query = first + done,
             .n_queries = now.count,
             .n_entries = std::int32_t(cells.size()),
             .n_cells = std::int32_t(attention.n_kv),
             .weights = by_entry});
  }
}

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
  state_.call_off();
  for (std::size_t done = 0; done < tokens.size();) {
    const auto now = tokens.subspan(done, std::min(tokens.size() - done, n_ubatch));
    if (on_attention)
      context.tap().watch(
          std::vector<bool>(std::size_t(context.n_layer()), true), [&](const engine::Attention& a) {
            std::vector<std::int32_t> all = state_.cells.cells;
            all.insert(all.end(), context.tap().cells().begin(), context.tap().cells().end());
            show_attention(context, a, all, std::int32_t(done), std::int32_t(now.size()), on_attention);
          });
    state_.decode(now, true);
    context.tap().ignore();
    for (std::size_t i = 0; i < now.size(); ++i) on_logits(done + i, context.logits(std::int32_t(i)));
    done += now.size();
  }
}

std::vector<float> Sequence::magnitudes(std::int32_t layer) const {
  engine::Context& context = state_.context;
  const auto it = context.tap().layers().find(layer);
  if (it == context.tap().layers().end()) throw UsageError("there is no layer " + std::to_string(layer));
  const engine::CacheLayer& cache = it->second;
  const engine::RowKind kept_values = engine::values_of(cache, "magnitudes");
  const auto& cells = state_.cells.cells;
  std::vector<float> sums = engine::row_magnitudes(context.compute(), cache, engine::keys_of(cache), cells);
  if (cache.v == nullptr) return sums;  // values are part of the keys
  const std::vector<float> values = engine::row_magnitudes(context.compute(), cache, kept_values, cells);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
  return sums;
}

}  // namespace chunkkv
