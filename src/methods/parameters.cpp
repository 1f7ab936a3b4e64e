#include "methods/parameters.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace chunkkv {
namespace {

template <class Number>
std::optional<Number> read(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The canonical text, or nothing when `text` is no value of `parameter`.
std::optional<std::string> canonical(const ParameterInfo& parameter, std::string_view text) {
  switch (parameter.kind) {
    case ParameterInfo::Kind::integer: {
      const auto value = read<std::int32_t>(text);
      if (value && *value >= parameter.min && *value <= parameter.max) return fmt::format("{}", *value);
      break;
    }
    case ParameterInfo::Kind::real: {
      const auto value = read<double>(text);
      if (value && *value >= parameter.min && *value <= parameter.max)
        return fmt::format("{}", *value == 0.0 ? 0.0 : *value);  // "-0" is 0
      break;
    }
    case ParameterInfo::Kind::choice: {
      const auto& choices = parameter.choices;
      const auto found = std::find(choices.begin(), choices.end(), text);
      if (found != choices.end()) return *found;
      break;
    }
  }
  return std::nullopt;
}

std::string allowed_values(const ParameterInfo& parameter) {
  switch (parameter.kind) {
    case ParameterInfo::Kind::integer:
      return fmt::format("a whole number from {} to {}", parameter.min, parameter.max);
    case ParameterInfo::Kind::real:
      return fmt::format("a number from {} to {}", parameter.min, parameter.max);
    case ParameterInfo::Kind::choice:
      break;
  }
  return fmt::format("{}", fmt::join(parameter.choices, ", "));
}

}  // namespace

ParameterInfo integer_parameter(std::string name, std::int32_t default_value, std::int32_t min,
                                std::int32_t max, std::string help) {
  return {.name = std::move(name),
          .default_value = fmt::format("{}", default_value),
          .min = double(min),
          .max = double(max),
          .help = std::move(help)};
}

ParameterInfo real_parameter(std::string name, double default_value, double min, double max,
                             std::string help) {
  return {.name = std::move(name),
          .kind = ParameterInfo::Kind::real,
          .default_value = fmt::format("{}", default_value),
          .min = min,
          .max = max,
          .help = std::move(help)};
}

ParameterInfo choice_parameter(std::string name, std::vector<std::string> choices, std::string help) {
  return {.name = std::move(name),
          .kind = ParameterInfo::Kind::choice,
          .default_value = choices.front(),
          .choices = choices,
          .help = std::move(help)};
}

ParameterInfo window_parameter(std::int32_t default_value) {
  return integer_parameter("window", default_value, 1, 65536,
                           "last tokens of the prompt whose attention is read; they are always kept");
}

ParameterInfo kernel_parameter(std::int32_t default_value) {
  return integer_parameter("kernel", default_value, 1, 255,
                           "tokens over which scores are pooled; 1: no pooling");
}

ParameterInfo pool_parameter() {
  return choice_parameter("pool", {"avg", "max"}, "how scores are pooled over the kernel");
}

ParameterInfo chunk_parameter(std::int32_t default_value) {
  return integer_parameter("chunk", default_value, 1, 65536, "tokens that are kept or dropped together");
}

ParameterInfo vnorm_parameter(std::int32_t default_value) {
  return integer_parameter("vnorm", default_value, 0, 1,
                           "1: weigh attention by the L2 norm of the token's value");
}

ParameterInfo sinks_parameter() {
  return integer_parameter("sinks", 4, 0, 65536, "first tokens that are always kept");
}

ParameterInfo spread_parameter(double default_value) {
  return real_parameter("spread", default_value, 0, 100,
                        "weight of the highest score among the tokens just before, beside the token's own");
}

ParameterInfo reach_parameter() {
  return integer_parameter("reach", 10, 0, 65536, "over how many following tokens a score spreads");
}

ParameterInfo after_parameter(std::int32_t default_value) {
  return integer_parameter("after", default_value, 0, 1024,
                           "first tokens of the answer that are generated from the whole cache and observed "
                           "before it is compressed");
}

ParameterInfo stride_parameter(std::int32_t default_value) {
  return integer_parameter("stride", default_value, 1, 4096, "of all queries, every so many-th is read");
}

ParameterInfo with_default(ParameterInfo parameter, std::string choice, std::string value,
                           std::string default_value) {
  parameter.otherwise.push_back({std::move(choice), std::move(value), std::move(default_value)});
  return parameter;
}

std::string canonical_value(const std::string& method, const ParameterInfo& parameter,
                            std::string_view text) {
  if (auto value = canonical(parameter, text)) return *std::move(value);
  throw UsageError(fmt::format("{}: {}={} is not allowed; {} is {}", method, parameter.name, text,
                               parameter.name, allowed_values(parameter)));
}

const std::string& Parameters::choice(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end())
    throw std::logic_error(fmt::format("the method declares no parameter {}", name));
  return found->second;
}

std::int32_t Parameters::integer(std::string_view name) const {
  return read<std::int32_t>(choice(name)).value();
}

double Parameters::real(std::string_view name) const {
  return read<double>(choice(name)).value();
}

}  // namespace chunkkv
