#pragma once

#include "benchmark.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace chunkkv::eval {

/// The samples of several tasks, one task after another.
class SampleList final : public Samples {
 public:
  /// Adds a task of `count` samples; `make(i)` makes sample i. A `limit` above 0 keeps only the first ones.
  void add(std::size_t count, std::int32_t limit, std::function<Sample(std::size_t)> make) {
    if (limit > 0) count = std::min(count, std::size_t(limit));
    size_ += count;
    tasks_.emplace_back(count, std::move(make));
  }

  std::size_t size() const override { return size_; }

  Sample at(std::size_t index) const override {
    for (const auto& [count, make] : tasks_) {
      if (index < count) return make(index);
      index -= count;
    }
    throw std::out_of_range("there is no such sample");
  }

 private:
  std::vector<std::pair<std::size_t, std::function<Sample(std::size_t)>>> tasks_;
  std::size_t size_ = 0;
};

}  // namespace chunkkv::eval
