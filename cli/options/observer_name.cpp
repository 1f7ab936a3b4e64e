#include "cli/options/observer_name.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace chunkkv::cli {
namespace {

constexpr std::array<std::pair<ObserverKind, std::string_view>, 3> kObservers = {{
    {ObserverKind::question, "question"},
    {ObserverKind::window, "window"},
    {ObserverKind::both, "both"},
}};

}  // namespace

ObserverKind parse_observer(std::string_view name) {
  for (const auto& [observer, known] : kObservers) {
    if (known == name) return observer;
  }
  throw UsageError(fmt::format("--observer is question, window or both, not '{}'", name));
}

std::string to_string(ObserverKind observer) {
  for (const auto& [known, name] : kObservers) {
    if (known == observer) return std::string(name);
  }
  return {};
}

}  // namespace chunkkv::cli
