#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace chunkkv {

/// Log-probabilities of `logits`. Error for logits that are no numbers.
std::vector<float> log_softmax(std::span<const float> logits);

/// Sum of p (log p - log q) in nats, of log-probabilities of equal length. Never negative.
double kl_divergence(std::span<const float> log_p, std::span<const float> log_q);

/// Index of the largest value, the first of equal ones.
std::size_t most_likely(std::span<const float> values);

}  // namespace chunkkv
