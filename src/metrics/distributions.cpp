#include "metrics/distributions.h"

#include "base/finite.h"

#include <algorithm>
#include <cmath>

namespace chunkkv {

std::vector<float> log_softmax(std::span<const float> logits) {
  require_finite(logits);
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(double(x) - largest);
  const double log_sum = double(largest) + std::log(sum);
  std::vector<float> result;
  result.reserve(logits.size());
  for (const float x : logits) result.push_back(float(double(x) - log_sum));
  return result;
}

double kl_divergence(std::span<const float> log_p, std::span<const float> log_q) {
  double sum = 0;
  for (std::size_t i = 0; i < log_p.size(); ++i) {
    const double p = std::exp(double(log_p[i]));
    if (p > 0) sum += p * (double(log_p[i]) - double(log_q[i]));
  }
  return std::max(sum, 0.0);
}

std::size_t most_likely(std::span<const float> values) {
  return std::size_t(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace chunkkv
