#pragma once

#include <chunkkv/model.h>

#include <memory>
#include <span>
#include <vector>

#include "support/tiny_model.h"

namespace chunkkv::test {

/// The tiny model as it is without changes, loaded once a process.
inline std::shared_ptr<Model> tiny() {
  static const auto model = Model::load(write_tiny_model({}, tiny_folder()));
  return model;
}

/// The values by themselves: a session's logits last until its next step.
inline std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace chunkkv::test
