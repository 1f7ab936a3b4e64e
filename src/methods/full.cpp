#include "methods/list.h"

namespace chunkkv {
namespace {

class Full final : public Method {
 public:
  Scores score(const LayerObservation& observation) const override {
    return {1, observation.n_entries, std::vector<float>(std::size_t(observation.n_entries))};
  }
  SelectionRule rule(const Target&) const override { return {}; }
  bool keeps_all() const override { return true; }
};

}  // namespace

MethodInfo full_method() {
  return {"full", "keeps every token: the reference", "no compression", {}, [](const Parameters&) {
            return std::make_shared<Full>();
          }};
}

}  // namespace chunkkv
