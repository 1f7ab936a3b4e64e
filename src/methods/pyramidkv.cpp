#include "methods/list.h"
#include "methods/parameters.h"
#include "methods/snapkv.h"

#include <algorithm>
#include <cmath>

namespace chunkkv {
namespace {

/// SnapKV's scores with budgets that fall from layer to layer, linearly, around the same mean.
class PyramidKV final : public SnapKV {
 public:
  explicit PyramidKV(const Parameters& p) : SnapKV(p), beta_(p.integer("beta")) {}

  bool layer_budgets() const override { return true; }
  std::int32_t layer_budget(const Target& target, std::int32_t layer, std::int32_t n_layer) const override {
    const std::int32_t beyond_window = target.budget - window();
    if (n_layer < 2 || beyond_window <= 0) return target.budget;
    const std::int32_t room = target.n_entries - window();
    const std::int32_t most = std::min(2 * beyond_window - beyond_window / beta_, room);
    const std::int32_t least = 2 * beyond_window - most;
    const double step = double(most - least) / (n_layer - 1);
    return window() + most - std::int32_t(std::lround(step * layer));
  }

 private:
  std::int32_t beta_;
};

}  // namespace

MethodInfo pyramidkv_method() {
  std::vector<ParameterInfo> parameters = SnapKV::parameters();
  parameters.push_back(integer_parameter("beta", 20, 1, 1024,
                                         "the last layer keeps 1/beta of the mean budget before the window"));
  return {
      "pyramidkv",
      "snapkv with more budget for lower layers; for evaluation: the surplus is hidden, no memory is saved",
      "PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling, arXiv 2406.02069",
      std::move(parameters), [](const Parameters& p) { return std::make_shared<PyramidKV>(p); }};
}

}  // namespace chunkkv
