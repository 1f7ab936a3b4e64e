#include "llama/cache_type.h"

#include <chunkkv/error.h>

namespace chunkkv {

ggml_type engine::engine_type(CacheType type) {
  if (std::size_t(type) >= kCacheTypes.size()) throw UsageError("unknown cache type");
  return kCacheTypes[std::size_t(type)];
}

CacheType parse_cache_type(std::string_view name) {
  std::string all;
  for (std::size_t i = 0; i < engine::kCacheTypes.size(); ++i) {
    const std::string known = ggml_type_name(engine::kCacheTypes[i]);
    if (known == name) return CacheType(i);
    all += (all.empty() ? "" : ", ") + known;
  }
  throw UsageError("unknown cache type '" + std::string(name) + "'; allowed are " + all);
}

std::string_view to_string(CacheType type) {
  return ggml_type_name(engine::engine_type(type));
}

}  // namespace chunkkv
