#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>

namespace chunkkv::serve {

/// A Prometheus histogram of times in seconds: counts by upper bound, and the sum.
class Histogram {
 public:
  void add(double seconds);
  std::string text(const std::string& name, const std::string& help) const;

 private:
  static constexpr std::array<double, 14> kBounds{.005, .01, .025, .05, .1, .25, .5,
                                                  1,    2.5, 5,    10,  30, 60,  300};
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

/// Counters and gauges of the server, for /metrics. Thread-safe: `update` and `text` lock.
class Metrics {
 public:
  struct Values {
    std::int64_t cells_used = 0, cells_total = 0, conversations = 0;
    std::uint64_t cache_bytes = 0, source_bytes = 0;
    std::int64_t tokens_read = 0, tokens_reused = 0, tokens_generated = 0, compressions = 0;
    std::int64_t requests = 0, refused = 0, cancelled = 0, queued = 0, reading = 0, generating = 0;
    Histogram first_token, between_tokens;
  };
  template <class Do>
  void update(Do&& act) {
    const std::lock_guard lock(mutex_);
    act(values_);
  }
  /// Returns all values in the text format of Prometheus.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  Values values_;
};

}  // namespace chunkkv::serve
