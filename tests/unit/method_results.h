#pragma once

#include <chunkkv/registry.h>
#include <chunkkv/selection.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

/// A method's scores and kept sets of one observation, for cases computed by hand.
namespace chunkkv::test {

using Indices = std::vector<std::int32_t>;
using Lists = std::vector<Indices>;
using Values = std::vector<float>;

inline Values scores(std::string_view spec, const LayerObservation& observation) {
  return make_method(spec)->score(observation).values;
}

inline Lists kept(std::string_view spec, const LayerObservation& observation, std::int32_t budget) {
  const auto method = make_method(spec);
  const Target target{observation.n_entries, budget, double(budget) / observation.n_entries};
  return select_layer(0, method->score(observation), target, method->rule(target)).heads;
}

inline void expect_near(const Values& actual, const Values& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6f) << "at " << i;
}

}  // namespace chunkkv::test
