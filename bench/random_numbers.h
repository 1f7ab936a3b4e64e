#pragma once

#include <cstddef>
#include <random>
#include <vector>

/// The same normal numbers each time.
inline std::vector<float> random_numbers(std::size_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> number;
  std::vector<float> values(n);
  for (float& value : values) value = number(random);
  return values;
}
