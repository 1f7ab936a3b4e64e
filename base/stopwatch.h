#pragma once

#include <chrono>
#include <cstdint>

namespace chunkkv {

/// Microseconds of a clock that never goes back.
inline std::int64_t now_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

/// Adds the milliseconds from its construction to `stop` or destruction to a total.
class Stopwatch {
 public:
  explicit Stopwatch(double& total_ms) : total_(&total_ms) {}
  ~Stopwatch() { stop(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void stop() {
    if (total_ == nullptr) return;
    *total_ += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
    total_ = nullptr;
  }

 private:
  double* total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace chunkkv
