#pragma once

#include <chunkkv/method.h>
#include <chunkkv/registry.h>

#include "methods/scoring.h"

#include <cstdint>
#include <vector>

namespace chunkkv {

/// Scores by the window's attention, one ranking a KV head, pooled over neighbours. Methods that add layer
/// budgets are made of it.
class SnapKV : public Method {
 public:
  explicit SnapKV(const Parameters& p);

  static std::vector<ParameterInfo> parameters();

  ObservationRequest request() const override;
  Scores score(const LayerObservation& observation) const override;
  SelectionRule rule(const Target&) const override { return {.last = window_}; }

 protected:
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
