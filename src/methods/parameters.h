#pragma once

#include <chunkkv/registry.h>

#include <cstdint>
#include <string>
#include <vector>

namespace chunkkv {

ParameterInfo integer_parameter(std::string name, std::int32_t default_value, std::int32_t min,
                                std::int32_t max, std::string help);
ParameterInfo real_parameter(std::string name, double default_value, double min, double max,
                             std::string help);
/// The first choice is the default.
ParameterInfo choice_parameter(std::string name, std::vector<std::string> choices, std::string help);

// Parameters that several methods share.
ParameterInfo window_parameter(std::int32_t default_value);
ParameterInfo kernel_parameter(std::int32_t default_value);
ParameterInfo pool_parameter();
ParameterInfo chunk_parameter(std::int32_t default_value);
ParameterInfo sinks_parameter();
ParameterInfo vnorm_parameter(std::int32_t default_value = 0);
ParameterInfo spread_parameter(double default_value = 0);
ParameterInfo reach_parameter();
ParameterInfo stride_parameter(std::int32_t default_value);
ParameterInfo after_parameter(std::int32_t default_value = 0);

/// `parameter` with another default where the parameter `choice`, which is declared before it, has `value`.
ParameterInfo with_default(ParameterInfo parameter, std::string choice, std::string value,
                           std::string default_value);

/// The canonical text of a value, which parses back to it. UsageError, which says what `method` allows, when
/// `text` is no value of `parameter`.
std::string canonical_value(const std::string& method, const ParameterInfo& parameter, std::string_view text);

}  // namespace chunkkv
