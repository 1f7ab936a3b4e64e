#include "base/finite.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace chunkkv {

void require_finite(std::span<const float> logits) {
  const auto is_bad = [](float x) { return !(x < INFINITY); };
  // Each sampled token comes here: vectors count in a third of the time that a search for the first takes.
  int n_bad = 0;
  for (const float x : logits) n_bad += is_bad(x) ? 1 : 0;
  if (n_bad == 0) return;
  const auto bad = std::find_if(logits.begin(), logits.end(), is_bad);
  throw Error(
      fmt::format("the logit of token {} is {}: the model's weights are damaged, or its keys or values too "
                  "large for the cache's type",
                  bad - logits.begin(), *bad));
}

}  // namespace chunkkv
