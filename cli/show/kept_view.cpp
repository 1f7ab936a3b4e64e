#include "cli/show/kept_view.h"

#include "text/utf8.h"

#include <algorithm>
#include <filesystem>

namespace chunkkv::cli {
namespace {

ChunkGrid chunk_grid(const SelectionRule& rule, std::int32_t n_entries) {
  if (rule.rule == ChunkRule::kvpress) return {0, n_entries, rule.chunk};
  return {rule.first, std::max(rule.first, n_entries - rule.last), rule.chunk};
}

std::vector<std::string> text_pieces(const Model& model, const std::vector<Token>& tokens) {
  std::vector<std::string> pieces;
  pieces.reserve(tokens.size());
  text::Utf8Stream stream;
  for (const Token token : tokens) pieces.push_back(stream.push(model.detokenize(token)));
  if (!pieces.empty()) pieces.back() += stream.finish();
  return pieces;
}

}  // namespace

KeptView make_view(const Session& session, const Plan& plan, const std::vector<Token>& prompt) {
  const ModelInfo& info = session.model().info();
  const auto n_entries = std::int32_t(prompt.size());
  KeptView view;
  view.model = std::filesystem::path(info.path).filename().string();
  view.method = plan.method->spec();
  view.keep = plan.budget.to_string();
  view.selection = session.sequence().selection();
  view.parts = session.cache_parts();
  view.n_layer = info.n_layer;
  view.n_head_kv = *std::max_element(view.parts.n_head_kv.begin(), view.parts.n_head_kv.end());
  // Layers are shown by the model's numbers.
  for (LayerKept& layer : view.selection.layers)
    layer.layer = view.parts.compressed[std::size_t(layer.layer)];
  const ResolvedPlan resolved = plan.at(n_entries, n_entries, session.n_layers());
  view.rule = resolved.layers.front().rule;
  view.window = resolved.window;
  view.chunks = chunk_grid(view.rule, n_entries);
  view.pieces = text_pieces(session.model(), prompt);
  return view;
}

}  // namespace chunkkv::cli
