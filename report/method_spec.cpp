#include "report/method_spec.h"

#include <chunkkv/registry.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace chunkkv::report {
namespace {

/// The parts of "name:key=value,key=value". Results may be older or newer than the registry, so nothing is
/// checked against it.
struct Parts {
  std::string_view name;
  std::vector<std::string_view> settings;  // "key=value"
};

Parts parts_of(std::string_view spec) {
  Parts parts;
  const std::size_t colon = std::min(spec.find(':'), spec.size());
  parts.name = spec.substr(0, colon);
  for (spec.remove_prefix(std::min(colon + 1, spec.size())); !spec.empty();) {
    const std::size_t comma = std::min(spec.find(','), spec.size());
    parts.settings.push_back(spec.substr(0, comma));
    spec.remove_prefix(std::min(comma + 1, spec.size()));
  }
  return parts;
}

/// The number in "key=value" where the key is `parameter`.
std::optional<double> value_of(std::string_view setting, std::string_view parameter) {
  if (!setting.starts_with(parameter) || !setting.substr(parameter.size()).starts_with('='))
    return std::nullopt;
  const std::string text(setting.substr(parameter.size() + 1));
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() || *end ? std::nullopt : std::optional(value);
}

std::optional<double> default_of(std::string_view method, std::string_view parameter) {
  for (const MethodInfo& info : methods()) {
    if (info.name != method) continue;
    for (const ParameterInfo& known : info.parameters)
      if (known.name == parameter && known.kind == ParameterInfo::Kind::integer)
        return std::strtod(known.default_value.c_str(), nullptr);
  }
  return std::nullopt;
}

std::size_t registry_place(std::string_view method) {
  const auto all = methods();
  const auto it = std::find_if(all.begin(), all.end(), [&](const auto& info) { return info.name == method; });
  return std::size_t(it - all.begin());
}

/// 0.1 for "10%"; none for a number of tokens.
std::optional<double> share_of(std::string_view keep) {
  if (!keep.ends_with('%')) return std::nullopt;
  return std::strtod(std::string(keep).c_str(), nullptr) / 100;
}

/// Compares texts, but the numbers in them by value: "chunk=5" comes before "chunk=10".
bool natural_less(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const auto number = [&](std::string_view text, std::size_t& at) {
        double value = 0;
        for (; at < text.size() && is_digit(text[at]); ++at) value = value * 10 + (text[at] - '0');
        return value;
      };
      const double x = number(a, i), y = number(b, j);
      if (x != y) return x < y;
    } else if (a[i] != b[j]) {
      return a[i] < b[j];
    } else {
      ++i, ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

}  // namespace

std::optional<Variant> variant_of(std::string_view spec, std::string_view parameter) {
  const Parts parts = parts_of(spec);
  const auto normal = default_of(parts.name, parameter);
  std::optional<double> given;
  std::vector<std::string_view> others;
  for (const std::string_view setting : parts.settings) {
    if (const auto value = value_of(setting, parameter)) {
      given = value;
    } else {
      others.push_back(setting);
    }
  }
  if (!given && !normal) return std::nullopt;
  std::string base(parts.name);
  if (!others.empty()) base += fmt::format(":{}", fmt::join(others, ","));
  return Variant{.base = base, .value = given ? *given : *normal, .is_default = !given || given == normal};
}

bool method_listed_before(std::string_view a, std::string_view b) {
  const auto rank = [](std::string_view spec) {
    const std::string_view name = parts_of(spec).name;
    return std::tuple(name != kFull, registry_place(name));
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  return natural_less(a, b);
}

bool listed_before(const Pair& a, const Pair& b) {
  const auto rank = [](const Pair& pair) {
    const auto share = share_of(pair.keep);
    return std::tuple(pair.method != kFull, !share,
                      share ? -*share : -std::strtod(pair.keep.c_str(), nullptr));
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  return method_listed_before(a.method, b.method);
}

}  // namespace chunkkv::report
