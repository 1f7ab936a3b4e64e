#include "base/finite.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace chunkkv {

void require_finite(std::span<const float> logits) {
  const auto bad = std::find_if_not(logits.begin(), logits.end(), [](float x) { return x < INFINITY; });
  if (bad != logits.end())
    throw Error(
        fmt::format("the logit of token {} is {}: the model's weights are damaged, or its keys or values too "
                    "large for the cache's type",
                    bad - logits.begin(), *bad));
}

}  // namespace chunkkv
