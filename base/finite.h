#pragma once

#include <span>

namespace chunkkv {

/// Error unless all logits are finite, or minus infinity: a sampler would choose some token all the same.
void require_finite(std::span<const float> logits);

}  // namespace chunkkv
