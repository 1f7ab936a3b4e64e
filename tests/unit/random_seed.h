#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace chunkkv::test {

/// The seed of this run's random inputs: CHUNKKV_TEST_SEED, or a new one each time. Printed, so that a
/// failure can be repeated.
inline std::uint32_t random_seed() {
  static const std::uint32_t seed = [] {
    const char* given = std::getenv("CHUNKKV_TEST_SEED");
    const auto value = given ? std::uint32_t(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    std::printf("random inputs: repeat with CHUNKKV_TEST_SEED=%u\n", value);
    return value;
  }();
  return seed;
}

class Random {
 public:
  Random() : engine_(random_seed()) {}

  /// lowest .. highest, both included.
  std::int32_t integer(std::int32_t lowest, std::int32_t highest) {
    return std::uniform_int_distribution<std::int32_t>(lowest, highest)(engine_);
  }
  float real() { return std::uniform_real_distribution<float>(0.0f, 1.0f)(engine_); }
  bool chance(float share) { return real() < share; }

 private:
  std::mt19937 engine_;
};

}  // namespace chunkkv::test
