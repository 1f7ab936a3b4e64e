#include "cli/show/weight_view.h"

#include "cli/show/units.h"

#include <fmt/format.h>

namespace chunkkv::cli {

std::string weight_text(std::span<const WeightUse> uses) {
  std::string text;
  for (const WeightUse& use : uses)
    text += fmt::format("{}weights: {} of {}, {:.1f} MiB, {}: prompts by {}", text.empty() ? "" : "\n",
                        use.n_matrices, use.type, in_mebibytes(use.n_bytes), use.layout, use.product);
  return text;
}

nlohmann::ordered_json weight_json(std::span<const WeightUse> uses) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const WeightUse& use : uses)
    list.push_back({{"type", use.type},
                    {"layout", use.layout},
                    {"product", use.product},
                    {"matrices", use.n_matrices},
                    {"bytes", use.n_bytes}});
  return list;
}

}  // namespace chunkkv::cli
