#pragma once

#include "report/results.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::report {

/// The method that keeps everything, with which the others are compared.
inline constexpr std::string_view kFull = "full";

/// A spec without one of its parameters, and that parameter's value.
struct Variant {
  std::string base;  ///< the spec with the parameter at its default
  double value = 0;  ///< as given, or the default
  bool is_default = false;
};

/// Splits the numeric `parameter` off `spec`: variants of one base differ in it only. None where the method
/// has no such parameter.
std::optional<Variant> variant_of(std::string_view spec, std::string_view parameter);

/// The order of rows: the full cache first, large budgets before small ones, shares before numbers
/// of tokens, then the methods in the registry's order, with their variants by value.
bool listed_before(const Pair& a, const Pair& b);
bool method_listed_before(std::string_view a, std::string_view b);

}  // namespace chunkkv::report
