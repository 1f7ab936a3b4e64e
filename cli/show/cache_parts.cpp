#include "cli/show/cache_parts.h"

namespace chunkkv::cli {

std::string parts_line(const Session& session) {
  const std::string text = describe(session.cache_parts(), session.model().info().n_layer);
  return text.empty() ? text : text + "\n";
}

void require_conversion(const Session& session) {
  if (session.cache_parts().n_window > 0)
    throw UsageError(
        "the windows of this model cannot be converted to other cache types; leave out --cache-type-prefill");
}

nlohmann::ordered_json parts_json(const CacheParts& parts, std::int32_t n_layer) {
  const std::string text = describe(parts, n_layer);
  return {{"description", text.empty() ? "all layers keep every token and are compressed" : text},
          {"compressed_layers", parts.compressed},
          {"window_layers", parts.n_window},
          {"window", parts.window},
          {"state_layers", parts.n_state},
          {"sharing_layers", parts.n_shared},
          {"values", parts.has_values},
          {"fixed_bytes", parts.fixed_bytes}};
}

}  // namespace chunkkv::cli
