#pragma once

#include <chrono>
#include <cstdint>

namespace chunkkv {

/// Microseconds of a clock that never goes back.
inline std::int64_t now_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

/// Measures the milliseconds since its construction.
class Timer {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Adds the milliseconds from its construction to `stop` or destruction to a total.
class Stopwatch {
 public:
  explicit Stopwatch(double& total_ms) : total_(&total_ms) {}
  ~Stopwatch() { stop(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void stop() {
    if (total_ == nullptr) return;
    *total_ += timer_.ms();
    total_ = nullptr;
  }

 private:
  double* total_;
  Timer timer_;
};

}  // namespace chunkkv
