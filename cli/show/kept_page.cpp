#include "cli/show/kept_view.h"
#include "results/line.h"
#include "web/assets.h"

#include <chunkkv/metrics.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace chunkkv::cli {
namespace {

using Json = nlohmann::ordered_json;

/// A kept set as numbers of entries to skip, take, skip, take, ...
std::vector<std::int32_t> runs(const std::vector<std::int32_t>& kept) {
  std::vector<std::int32_t> runs;
  std::int32_t next = 0;
  for (const std::int32_t entry : kept) {
    if (entry != next || runs.empty()) {
      runs.push_back(entry - next);
      runs.push_back(0);
    }
    ++runs.back();
    next = entry + 1;
  }
  return runs;
}

Json page_data(const KeptView& view) {
  Json layers = Json::array();
  for (const LayerKept& layer : view.selection.layers) {
    Json heads = Json::array();
    for (const auto& kept : layer.heads) heads.push_back(runs(kept));
    layers.push_back({{"layer", layer.layer}, {"heads", std::move(heads)}});
  }
  auto similarity = layer_similarity(view.selection.layers);
  const double adjacent = adjacent_similarity(similarity, view.selection.layers.size());
  for (double& cell : similarity) cell = results::rounded(cell);
  return {
      {"model", view.model},
      {"method", view.method},
      {"keep", view.keep},
      {"tokens", view.selection.n_entries},
      {"kept", view.selection.n_kept},
      {"kvHeads", view.n_head_kv},
      {"first", view.rule.first},
      {"last", view.rule.last},
      {"chunks", {{"begin", view.chunks.begin}, {"end", view.chunks.end}, {"length", view.chunks.length}}},
      {"layers", std::move(layers)},
      {"adjacent", adjacent},
      {"similarity", similarity},
      {"pieces", view.pieces}};
}

}  // namespace

std::string kept_page(const KeptView& view) {
  return web::with_data(web::assets::kept_page,
                        page_data(view).dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace chunkkv::cli
