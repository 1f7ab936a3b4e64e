#include "cli/commands/commands.h"
#include "cli/options/option_group.h"
#include "cli/terminal/output.h"
#include "results/line.h"

#include <chunkkv/registry.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <array>
#include <memory>

namespace chunkkv::cli {
namespace {

using Kind = ParameterInfo::Kind;
using Json = nlohmann::ordered_json;

/// By Kind.
constexpr std::array kKindNames = {"integer", "real", "choice"};

/// The values that a parameter may have: "1 .. 65536" or "paper | exact".
std::string allowed(const ParameterInfo& parameter) {
  if (parameter.kind == Kind::choice) return fmt::format("{}", fmt::join(parameter.choices, " | "));
  return fmt::format("{} .. {}", parameter.min, parameter.max);
}

/// A parameter's value as JSON: a string for a choice, else a number.
Json value(const ParameterInfo& parameter, const std::string& text) {
  return parameter.kind == Kind::choice ? Json(text) : Json::parse(text);
}

Json to_json(const ParameterInfo& parameter) {
  Json json = {{"name", parameter.name},
               {"kind", kKindNames.at(std::size_t(parameter.kind))},
               {"default", value(parameter, parameter.default_value)}};
  switch (parameter.kind) {
    case Kind::integer:
      json["min"] = std::int64_t(parameter.min);
      json["max"] = std::int64_t(parameter.max);
      break;
    case Kind::real:
      json["min"] = parameter.min;
      json["max"] = parameter.max;
      break;
    case Kind::choice:
      json["choices"] = parameter.choices;
      break;
  }
  for (const auto& other : parameter.otherwise)
    json["default_with"].push_back({{"parameter", other.choice},
                                    {"value", other.value},
                                    {"default", value(parameter, other.default_value)}});
  json["help"] = parameter.help;
  return json;
}

Json to_json(const MethodInfo& method) {
  Json parameters = Json::array();
  for (const ParameterInfo& parameter : method.parameters) parameters.push_back(to_json(parameter));
  return {{"name", method.name},
          {"summary", method.summary},
          {"paper", method.paper},
          {"parameters", std::move(parameters)}};
}

std::string to_text(const MethodInfo& method) {
  std::string text = fmt::format("{}\n  {}\n  {}\n", method.name, method.summary, method.paper);
  for (const ParameterInfo& parameter : method.parameters) {
    text += fmt::format("    {:<16}{:<25}{}\n", fmt::format("{}={}", parameter.name, parameter.default_value),
                        allowed(parameter), parameter.help);
    for (const auto& other : parameter.otherwise)
      text +=
          fmt::format("    {:<16}{:<25}{}\n", "", "",
                      fmt::format("default with {}={}: {}", other.choice, other.value, other.default_value));
  }
  return text;
}

void list_methods(bool json) {
  if (json) {
    Json all = Json::array();
    for (const MethodInfo& method : methods()) all.push_back(to_json(method));
    print(results::to_text(all));
    return;
  }
  std::string text = "Methods for --method, their parameters with defaults, and what is allowed.\n";
  for (const MethodInfo& method : methods()) text += "\n" + to_text(method);
  print(text);
}

}  // namespace

void add_methods(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App& command = *app.add_subcommand("methods", "list the compression methods with their parameters");
  OptionGroup(command).flag("--json", *json, "print a JSON array");
  command.callback([json] { list_methods(*json); });
}

}  // namespace chunkkv::cli
