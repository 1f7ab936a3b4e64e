#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include "methods/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>

namespace chunkkv {
namespace {

template <class Named>
std::string names(const Named& items) {
  std::vector<std::string_view> list;
  for (const auto& item : items) list.push_back(item.name);
  return fmt::format("{}", fmt::join(list, ", "));
}

const MethodInfo& find_method(std::string_view name) {
  for (const auto& info : methods())
    if (info.name == name) return info;
  throw UsageError(fmt::format("there is no method \"{}\"; choose one of {}", name, names(methods())));
}

const ParameterInfo& find_parameter(const MethodInfo& info, std::string_view name) {
  for (const auto& parameter : info.parameters)
    if (parameter.name == name) return parameter;
  if (info.parameters.empty())
    throw UsageError(fmt::format("{} has no parameters, so not \"{}\"", info.name, name));
  throw UsageError(fmt::format("{} has no parameter \"{}\"; its parameters are {}", info.name, name,
                               names(info.parameters)));
}

/// Removes the text up to the first `separator`, and the separator, from `text`; returns that text.
std::string_view take_until(std::string_view& text, char separator) {
  const auto end = std::min(text.find(separator), text.size());
  const auto part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

using Values = std::map<std::string, std::string, std::less<>>;

/// Parses "key=value,key=value" into canonical values by name.
Values parse_values(const MethodInfo& info, std::string_view text) {
  Values values;
  for (bool more = true; more;) {
    more = text.find(',') != std::string_view::npos;
    std::string_view value = take_until(text, ',');
    const bool is_pair = value.find('=') != std::string_view::npos;
    const std::string_view name = take_until(value, '=');
    if (!is_pair)
      throw UsageError(
          fmt::format("{}: \"{}\" is not a parameter; write name:key=value,key=value", info.name, name));
    const ParameterInfo& parameter = find_parameter(info, name);
    if (!values.emplace(parameter.name, canonical_value(info.name, parameter, value)).second)
      throw UsageError(fmt::format("{}: {} is given twice", info.name, name));
  }
  return values;
}

/// The default of `parameter` where the parameters declared before it have the values in `before`.
const std::string& default_value(const ParameterInfo& parameter, const Parameters& before) {
  for (const auto& other : parameter.otherwise)
    if (before.choice(other.choice) == other.value) return other.default_value;
  return parameter.default_value;
}

/// All parameters, and "name=value" of those that are not at their defaults.
struct Resolved {
  Parameters parameters;
  std::vector<std::string> changed;
};

Resolved resolve(const MethodInfo& info, const Values& values) {
  Resolved resolved;
  for (const auto& parameter : info.parameters) {
    const auto given = values.find(parameter.name);
    const std::string& usual = default_value(parameter, resolved.parameters);
    const bool is_default = given == values.end() || given->second == usual;
    resolved.parameters.set(parameter.name, is_default ? usual : given->second);
    if (!is_default) resolved.changed.push_back(parameter.name + "=" + given->second);
  }
  return resolved;
}

std::string spec_of(const MethodInfo& info, const Values& values) {
  const std::vector<std::string> changed = resolve(info, values).changed;
  return changed.empty() ? info.name : fmt::format("{}:{}", info.name, fmt::join(changed, ","));
}

/// Whether a parameter is a number of last tokens that a method observes or always keeps.
bool is_window(const ParameterInfo& parameter) {
  return parameter.kind == ParameterInfo::Kind::integer &&
         (parameter.name == "window" || parameter.name == "recent");
}

bool has_window(const MethodInfo& info) {
  return std::any_of(info.parameters.begin(), info.parameters.end(),
                     [](const ParameterInfo& parameter) { return parameter.name == "window"; });
}

/// `values` with windows of `window` tokens at most.
Values with_smaller_windows(const MethodInfo& info, Values values, std::int32_t window) {
  const Parameters parameters = resolve(info, values).parameters;
  for (const auto& parameter : info.parameters) {
    if (is_window(parameter) && parameters.integer(parameter.name.c_str()) > window)
      values.insert_or_assign(parameter.name, fmt::format("{}", window));
  }
  return values;
}

}  // namespace

std::shared_ptr<const Method> make_method(std::string_view spec) {
  const bool has_values = spec.find(':') != std::string_view::npos;
  const MethodInfo& info = find_method(take_until(spec, ':'));
  const Values values = has_values ? parse_values(info, spec) : Values();

  auto method = info.make(resolve(info, values).parameters);
  method->set_spec(spec_of(info, values));
  if (has_window(info))
    method->narrowed_ = [&info, values](std::int32_t window) {
      return make_method(spec_of(info, with_smaller_windows(info, values, window)));
    };
  return method;
}

}  // namespace chunkkv
