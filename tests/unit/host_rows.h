#pragma once

#include <chunkkv/observation.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace chunkkv::test {

/// Rows in a vector, [n_entries][n_head_kv][width].
class HostRows final : public Rows {
 public:
  HostRows(std::vector<float> numbers, std::int32_t n_head_kv, std::int32_t width)
      : numbers_(std::move(numbers)), n_head_kv_(n_head_kv), width_(width) {}

  std::int32_t width() const override { return width_; }
  void read(std::int32_t first, std::int32_t count, std::span<float> out) const override {
    const std::size_t row = std::size_t(n_head_kv_) * std::size_t(width_);
    std::copy_n(numbers_.begin() + std::ptrdiff_t(std::size_t(first) * row), std::size_t(count) * row,
                out.begin());
  }

 private:
  std::vector<float> numbers_;
  std::int32_t n_head_kv_, width_;
};

}  // namespace chunkkv::test
