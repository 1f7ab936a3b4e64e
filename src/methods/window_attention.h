#pragma once

#include <chunkkv/method.h>
#include <chunkkv/registry.h>

#include "methods/scoring.h"

#include <cstdint>
#include <vector>

namespace chunkkv {

/// SnapKV's scores, also used by methods that add layer budgets: the window's attention, one ranking a KV
/// head, pooled over neighbours.
class WindowAttention {
 public:
  explicit WindowAttention(const Parameters& p);

  static std::vector<ParameterInfo> parameters();

  ObservationRequest request() const;
  Scores score(const LayerObservation& observation) const;
  std::int32_t window() const { return window_; }

 private:
  std::int32_t window_, kernel_;
  Pool pool_;
  Group group_;
  bool vnorm_;
  Lift lift_;
  std::int32_t after_;
};

}  // namespace chunkkv
