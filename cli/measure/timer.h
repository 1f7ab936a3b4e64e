#pragma once

#include <chrono>

namespace chunkkv::cli {

/// Measures the milliseconds since its construction.
class Timer {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace chunkkv::cli
