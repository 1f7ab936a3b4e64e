#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace chunkkv::cli {

/// Minimum, median and maximum over repetitions.
struct Spread {
  double min = 0, median = 0, max = 0;
};

/// The spread of `value`, a member or a function of a sample, over all samples, of which there is at least
/// one.
template <class Samples, class Value>
Spread spread(const Samples& samples, Value value) {
  std::vector<double> values;
  for (const auto& sample : samples) values.push_back(double(std::invoke(value, sample)));
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return {values.front(), (values[(n - 1) / 2] + values[n / 2]) / 2, values.back()};
}

inline nlohmann::ordered_json to_json(const Spread& spread) {
  return {{"min", spread.min}, {"median", spread.median}, {"max", spread.max}};
}

}  // namespace chunkkv::cli
