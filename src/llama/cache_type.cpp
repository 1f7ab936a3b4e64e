#include <chunkkv/cache.h>
#include <chunkkv/error.h>

#include <array>
#include <utility>

namespace chunkkv {
namespace {

constexpr std::array<std::pair<CacheType, std::string_view>, 9> kNames{{
    {CacheType::f32, "f32"},
    {CacheType::f16, "f16"},
    {CacheType::bf16, "bf16"},
    {CacheType::q8_0, "q8_0"},
    {CacheType::q4_0, "q4_0"},
    {CacheType::q4_1, "q4_1"},
    {CacheType::q5_0, "q5_0"},
    {CacheType::q5_1, "q5_1"},
    {CacheType::iq4_nl, "iq4_nl"},
}};

}  // namespace

CacheType parse_cache_type(std::string_view name) {
  std::string all;
  for (const auto& [type, known] : kNames) {
    if (known == name) return type;
    all += (all.empty() ? "" : ", ") + std::string(known);
  }
  throw UsageError("unknown cache type '" + std::string(name) + "'; allowed are " + all);
}

std::string_view to_string(CacheType type) {
  for (const auto& [known, name] : kNames)
    if (known == type) return name;
  return "?";
}

}  // namespace chunkkv
