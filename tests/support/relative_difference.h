#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace chunkkv::test {

/// Root of the mean squared difference relative to the spread of `expected`.
inline double relative_difference(std::span<const float> expected, std::span<const float> actual) {
  double mean = 0, difference = 0, spread = 0;
  for (const float x : expected) mean += x / double(expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double(expected[i]) - double(actual[i]), 2);
    spread += std::pow(double(expected[i]) - mean, 2);
  }
  return std::sqrt(difference / spread);
}

}  // namespace chunkkv::test
